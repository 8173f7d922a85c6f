import { createRequire } from 'node:module';
import { constants, createInflate, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { StreamError } from '../../lib/core/errors.js';
import { writeSynStreamHead } from '../../lib/spdy/codec.js';
import { SPDY_DICTIONARY_ID, spdyDictionary } from '../../lib/spdy/dictionary.js';
import { SYN_STREAM_HEAD_BYTES } from '../../lib/spdy/frames.js';
import {
  HeaderBlockDecoder,
  HeaderBlockEncoder,
  type HeaderBlockLimits,
  headerBlockLimits,
  readHeaderList,
  StoredDeflate,
} from '../../lib/spdy/header-block.js';
import { seededRandom } from '../support/random.js';

type Pairs = [name: string, value: string][];

const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** An unpacked block (SPDY §2.6.10); every part can be told apart from what it should be. */
function unpacked(
  pairs: readonly (readonly [string | Uint8Array, string | Uint8Array])[],
  count = pairs.length,
): Buffer {
  const parts: Uint8Array[] = [word(count)];
  for (const text of pairs.flat()) {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    parts.push(word(bytes.length), bytes);
  }
  return Buffer.concat(parts);
}

/** One zlib context that writes blocks as a peer would: stored, so that it can be written here. */
function sender(): (payload: Uint8Array) => Uint8Array {
  const deflate = new StoredDeflate(SPDY_DICTIONARY_ID);
  return (payload) => {
    const packed = new Uint8Array(deflate.size(payload.length));
    expect(deflate.write(packed, 0, payload)).toBe(packed.length);
    return packed;
  };
}

/** What node:zlib makes of the blocks of one connection. */
async function inflateBlocks(blocks: readonly Uint8Array[]): Promise<Buffer[]> {
  const inflate = createInflate({ dictionary: spdyDictionary, flush: constants.Z_SYNC_FLUSH });
  let parts: Buffer[] = [];
  inflate.on('data', (part: Buffer) => parts.push(part));
  const results: Buffer[] = [];
  for (const block of blocks) {
    await new Promise<void>((resolve, reject) =>
      inflate.write(block, (error) => (error ? reject(error) : resolve())),
    );
    results.push(Buffer.concat(parts));
    parts = [];
  }
  inflate.close();
  return results;
}

function thrownBy(action: () => unknown): StreamError {
  try {
    action();
  } catch (error) {
    if (StreamError.is(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

function listOf(pairs: Iterable<readonly [string, string]>): string[] {
  return [...pairs].flat();
}

/** The block of a SYN_STREAM, SYN_REPLY or HEADERS frame. */
function blockOf(frame: string): Uint8Array {
  const bytes = fromHex(frame);
  return bytes.subarray(bytes[3] === 1 ? 18 : 12);
}

describe('header blocks that others wrote', () => {
  it('come out of a connection of Go spdystream 0.2.0', () => {
    // Framer.WriteFrame of three SYN_STREAMs, a SYN_REPLY, a SYN_STREAM as kubectl port-forward has it, a HEADERS.
    const frames: [frame: string, headers: Pairs][] = [
      [
        '80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff',
        [['streamtype', 'error']],
      ],
      ['80030001000000170000000300000000a000c22e555c92929907000000ffff', [['streamtype', 'stdin']]],
      ['800300010200001900000005000000010000c22ac5565c92925f5a02000000ffff', [['streamtype', 'stdout']]],
      ['800300020000000e000000026260606000000000ffff', []],
      [
        '80030001000000300000000700000000000002256548a95e04ce40160616060c0c0c9c4590549009ca1d8c061826808ab0440000' +
          '0000ffff',
        [
          ['port', '8080'],
          ['requestid', '0'],
          ['streamtype', 'data'],
        ],
      ],
      [
        '800300080000003600000007829a2d59a10b91d32d28ca2fc94fcecfd145e419a33213bde48cc4bcbcd41cbd6c8b62bdcc7c8632' +
          '637411542e000000ffff',
        [
          ['x-stream-protocol-version', 'v4.channel.k8s.io'],
          ['x-stream-protocol-version', 'v3.channel.k8s.io'],
          ['x-stream-protocol-version', 'channel.k8s.io'],
        ],
      ],
    ];
    const decoder = new HeaderBlockDecoder();
    for (const [frame, headers] of frames) {
      expect(decoder.decode(blockOf(frame), 1)).toEqual(listOf(headers));
    }
  });

  it('come out of a connection of spdy-transport 3.0.0', () => {
    // Framer.requestFrame, responseFrame, headersFrame, requestFrame.
    const frames: [frame: string, headers: Pairs][] = [
      [
        '80030001000000710000000100000000600038ace3c6a7c2022540ec25282fd86005a8c99899a2b820159442d92a747313f340d9' +
          '83259121890194b6ad1039c0dd3504648315f6e4ce6a5590082effb8f533f352522bf440810036a138392335175c38679494' +
          '141483d5428b2c4e50619203e200000000ffff',
        [
          ['accept-encoding', 'gzip, deflate'],
          ['user-agent', 'spec'],
          ['x-many', 'a'],
          ['x-many', 'b'],
          ['x-many', ''],
          [':method', 'GET'],
          [':version', 'HTTP/1.1'],
          [':path', '/index.html'],
          [':scheme', 'https'],
          [':host', 'localhost'],
        ],
      ],
      [
        '80030002000000210000000102d989a520e44284200303036305883084988a9911b13a0d000000ffff',
        [
          ['content-type', 'text/plain'],
          ['x', '1'],
          [':status', '200 OK'],
          [':version', 'HTTP/1.1'],
        ],
      ],
      ['80030008000000130000000102e9402d30982b538b01000000ffff', [['trailer', 'yes']]],
      [
        '80030001000000340000000300000000600002e90367c992a2d4c45ca865acc52529607b907ccd12e01f4c94b759f5532bc08148' +
          'a48701000000ffff',
        [
          ['streamtype', 'stdin'],
          [':method', 'POST'],
          [':version', 'HTTP/1.1'],
          [':path', '/exec'],
          [':scheme', 'https'],
          [':host', 'localhost'],
        ],
      ],
    ];
    const decoder = new HeaderBlockDecoder();
    for (const [frame, headers] of frames) {
      expect(decoder.decode(blockOf(frame), 1)).toEqual(listOf(headers));
    }
  });
});

describe('header blocks that we write', () => {
  it('are these bytes, the zlib header with the dictionary going before the first', () => {
    const encoder = new HeaderBlockEncoder();
    const payload = '00000001' + '00000004' + '706f7274' + '00000002' + '3830';
    const stored = `001200edff${payload}000000ffff`;
    expect(Buffer.from(encoder.encode([['port', '80']])).toString('hex')).toBe(`7820e3c6a7c2${stored}`);
    expect(Buffer.from(encoder.encode([['Port', '80']])).toString('hex')).toBe(stored);
  });

  it('can do without the dictionary', () => {
    const encoder = new HeaderBlockEncoder({ dictionary: false });
    expect(Buffer.from(encoder.encode([])).toString('hex')).toBe('7801000400fbff00000000000000ffff');
  });

  it('leave room for the head of their frame', () => {
    const encoder = new HeaderBlockEncoder();
    const block = new HeaderBlockEncoder().encode([['a', 'b']]);
    const frame = encoder.encode([['a', 'b']], 18);
    expect([...frame.subarray(0, 18)]).toEqual(new Array(18).fill(0));
    expect(Buffer.from(frame.subarray(18)).equals(block)).toBe(true);
  });

  it('join the values of one name, in any case, where the name is first', () => {
    const block = new HeaderBlockEncoder().encode([
      ['A', '1'],
      ['b', '2'],
      ['a', '3'],
      ['a', ''],
    ]);
    expect(new HeaderBlockDecoder().decode(block, 1)).toEqual(['a', '1', 'a', '3', 'a', '', 'b', '2']);
  });

  it('come back as they were, many to a connection', () => {
    const name = fc.stringMatching(/^[!-@[-~]{1,30}$/);
    const value = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((text) => !text.includes('\0'));
    const headers = fc.uniqueArray(fc.tuple(name, fc.array(value, { minLength: 1, maxLength: 3 })), {
      maxLength: 20,
      selector: ([each]) => each,
    });
    fc.assert(
      fc.property(fc.array(headers, { maxLength: 5 }), fc.boolean(), (blocks, dictionary) => {
        const encoder = new HeaderBlockEncoder({ dictionary });
        const decoder = new HeaderBlockDecoder();
        for (const block of blocks) {
          const pairs = block.flatMap(([each, values]) => values.map((one): [string, string] => [each, one]));
          expect(decoder.decode(encoder.encode(pairs), 1)).toEqual(listOf(pairs));
        }
      }),
    );
  });

  it('are read by node:zlib, any number of blocks of any size in one context', async () => {
    const random = seededRandom(17);
    for (const id of [undefined, SPDY_DICTIONARY_ID]) {
      const deflate = new StoredDeflate(id);
      const sizes = [0, 1, 65_534, 65_535, 65_536, 131_070, 131_071, 300, 0, 7];
      const payloads = sizes.map((size) => random.bytes(size));
      const blocks = payloads.map((payload) => {
        const size = deflate.size(payload.length);
        const target = new Uint8Array(size + 6).fill(0xaa);
        expect(deflate.write(target, 3, payload)).toBe(3 + size);
        expect([...target.subarray(0, 3), ...target.subarray(3 + size)]).toEqual(new Array(6).fill(0xaa));
        return target.subarray(3, 3 + size);
      });
      for (const [i, result] of (await inflateBlocks(blocks)).entries()) {
        expect(result.equals(payloads[i] as Uint8Array)).toBe(true);
      }
    }
  });

  it('end in the empty stored block without which Go waits for ever', () => {
    const encoder = new HeaderBlockEncoder({ maxHeaderBlockBytes: 1 << 20 });
    for (const value of ['', 'x', 'x'.repeat(65_535 - 14), 'x'.repeat(200_000)]) {
      const block = encoder.encode([['ab', value]]);
      expect(Buffer.from(block.subarray(-5)).toString('hex')).toBe('000000ffff');
    }
  });

  it('are read by spdy-transport', async () => {
    const { protocol } = createRequire(require.resolve('spdy'))('spdy-transport');
    const parser = protocol.spdy.parser.create({ isServer: true });
    parser.setCompression(protocol.spdy.compressionPool.create().get('3.1'));
    const encoder = new HeaderBlockEncoder();
    for (const id of [1, 3]) {
      const headers: Pairs = [
        [':method', 'POST'],
        [':path', '/'],
        ['Streamtype', 'stdin'],
        ['x', String(id)],
      ];
      const frame = encoder.encode(headers, SYN_STREAM_HEAD_BYTES);
      writeSynStreamHead(frame, 0, id, 0, 3, 0, frame.length - SYN_STREAM_HEAD_BYTES);
      const read = await new Promise((resolve, reject) => {
        parser.once('data', resolve);
        parser.once('error', reject);
        parser.write(Buffer.from(frame));
      });
      expect(read).toMatchObject({
        type: 'HEADERS',
        id,
        headers: { ':method': 'POST', ':path': '/', streamtype: 'stdin', x: String(id) },
      });
    }
  });

  it.each<[what: string, code: string, headers: Pairs]>([
    ['an empty name', 'protocol', [['', 'x']]],
    ['a name with a blank', 'protocol', [['a b', 'x']]],
    ['a name with a control character', 'protocol', [['a\n', 'x']]],
    ['a name that is not ASCII', 'protocol', [['käse', 'x']]],
    ['a value with a NUL', 'protocol', [['a', 'x\0y']]],
    ['more than the peer will take', 'limit', [['a', 'x'.repeat(16 * 1024)]]],
    [
      'far more than the peer will take',
      'limit',
      Array.from({ length: 99 }, (_, i) => [`${i}`, 'x'.repeat(9999)]),
    ],
  ])('are not written for %s, and nothing has happened then', (_, code, headers) => {
    const encoder = new HeaderBlockEncoder();
    const error = thrownBy(() => encoder.encode(headers));
    expect(error.code).toBe(code);
    expect(error.remote).toBe(false);
    expect(new HeaderBlockDecoder().decode(encoder.encode([['a', 'b']]), 1)).toEqual(['a', 'b']);
  });

  it('may be as large as the limit, and not a byte larger', () => {
    const encoder = new HeaderBlockEncoder({ maxHeaderBlockBytes: 100 });
    const overhead = new HeaderBlockEncoder().encode([['a', '']]).length;
    expect(thrownBy(() => encoder.encode([['a', 'x'.repeat(101 - overhead)]])).code).toBe('limit');
    expect(encoder.encode([['a', 'x'.repeat(100 - overhead)]])).toHaveLength(100);
  });
});

describe('what a block may not be', () => {
  const limits: HeaderBlockLimits = {
    maxHeaders: 4,
    maxHeaderNameBytes: 8,
    maxHeaderValueBytes: 20,
    maxHeaderListBytes: 1000,
  };

  const broken: [what: string, code: string, wireCode: number, message: string, payload: Uint8Array][] = [
    ['three bytes', 'protocol', 1, 'of 3 bytes', Buffer.alloc(3)],
    [
      'an empty name',
      'protocol',
      1,
      'header 2 has an empty name',
      unpacked([
        ['a', 'b'],
        ['', 'c'],
      ]),
    ],
    ['a capital letter', 'protocol', 1, 'the byte 66 in its name', unpacked([['aB', 'c']])],
    ['a NUL in a name', 'protocol', 1, 'the byte 0 in its name', unpacked([['a\0', 'c']])],
    ['a name that is not ASCII', 'protocol', 1, 'the byte 195 in its name', unpacked([['ä', 'c']])],
    [
      'one name twice',
      'protocol',
      1,
      'a comes twice',
      unpacked([
        ['a', 'b'],
        ['c', 'd'],
        ['a', 'b'],
      ]),
    ],
    ['fewer headers than it says', 'protocol', 1, 'within header 2 of 2', unpacked([['a', 'b']], 2)],
    [
      'more headers than it says',
      'protocol',
      1,
      '10 bytes after the 1 headers',
      unpacked(
        [
          ['a', 'b'],
          ['c', 'd'],
        ],
        1,
      ),
    ],
    ['a name cut short', 'protocol', 1, 'within header 1 of 1', unpacked([['abc', '']]).subarray(0, 10)],
    ['a value cut short', 'protocol', 1, 'within header 1 of 1', unpacked([['a', 'bcd']]).subarray(0, 14)],
    ['5 headers, of 4', 'limit', 11, '5 headers, the limit is 4', unpacked([], 5)],
    ['4 billion headers', 'limit', 11, '4294967295 headers', unpacked([], 0xffffffff)],
    ['5 values, of 4', 'limit', 11, 'more than 4 header values', unpacked([['a', '1\x002\x003\x004\x005']])],
    [
      '5 values of several names',
      'limit',
      11,
      'more than 4',
      unpacked([
        ['a', '1\x002\x003'],
        ['b', '1\x002'],
      ]),
    ],
    ['a name of 9 bytes, of 8', 'limit', 11, 'a header name of 9 bytes', unpacked([['abcdefghi', '']])],
    ['a name of 4 GiB', 'limit', 11, 'of 4294967295 bytes', Buffer.concat([word(1), word(0xffffffff)])],
    ['a value of 21 bytes, of 20', 'limit', 11, 'a of 21 bytes', unpacked([['a', 'x'.repeat(21)]])],
  ];

  it.each(broken)('costs one stream: %s', (_, code, wireCode, message, payload) => {
    const decoder = new HeaderBlockDecoder(limits);
    const send = sender();
    const error = decoder.decode(send(payload), 5);
    if (!StreamError.is(error)) throw new Error('nothing was wrong');
    expect(error.message).toContain('stream 5: ');
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ code, wireCode, streamId: 5, remote: true });
    // The next stream of the connection has its headers all the same.
    expect(decoder.decode(send(unpacked([['a', 'b']])), 7)).toEqual(['a', 'b']);
  });

  it('may be at every limit', () => {
    const pairs: Pairs = [
      ['abcdefgh', 'x'.repeat(20)],
      ['b', '1\x002'],
      ['c', ''],
    ];
    expect(readHeaderList(unpacked(pairs), 1, limits)).toEqual(
      listOf([
        ['abcdefgh', 'x'.repeat(20)],
        ['b', '1'],
        ['b', '2'],
        ['c', ''],
      ]),
    );
  });

  it('costs the connection if it unpacks to more than the limit, whoever wants it', () => {
    const bomb = deflateSync(Buffer.alloc(100_000), { level: 9 });
    for (const use of ['decode', 'skip'] as const) {
      const decoder = new HeaderBlockDecoder();
      const error = thrownBy(() => decoder[use](bomb, 1));
      expect(error).toMatchObject({ code: 'limit', remote: true, wireCode: 1 });
      expect(thrownBy(() => decoder.decode(bomb, 3))).toBe(error);
    }
  });

  it('costs the connection if it is no zlib', () => {
    expect(thrownBy(() => new HeaderBlockDecoder().decode(Buffer.from('streamtype'), 1))).toMatchObject({
      code: 'protocol',
      wireCode: 1,
    });
  });

  it('is missing where there are no headers, which §2.6.7 allows', () => {
    expect(new HeaderBlockDecoder().decode(new Uint8Array(0), 1)).toEqual([]);
  });
});

describe('the header decoder', () => {
  it('stays in step through blocks that nobody wants', () => {
    // Go spdystream 0.2.0: the second block refers to the first.
    const decoder = new HeaderBlockDecoder();
    decoder.skip(fromHex('78f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff'));
    expect(decoder.decode(fromHex('c22e555c92929907000000ffff'), 3)).toEqual(['streamtype', 'stdin']);
  });

  it('reads UTF-8, and puts U+FFFD where there is none', () => {
    const read = (value: Uint8Array): unknown =>
      readHeaderList(unpacked([['a', value]]), 1, headerBlockLimits);
    for (const text of ['ä', 'short ü', 'longer than what the loop takes: ß', '\ufeffwith a mark', '🙂']) {
      expect(read(Buffer.from(text))).toEqual(['a', text]);
    }
    expect(read(Uint8Array.of(0x61, 0xff, 0x62))).toEqual(['a', 'a\ufffdb']);
  });

  it('keeps names like __proto__ as any other', () => {
    expect(
      readHeaderList(
        unpacked([
          ['__proto__', 'x'],
          ['constructor', 'y'],
        ]),
        1,
        headerBlockLimits,
      ),
    ).toEqual(['__proto__', 'x', 'constructor', 'y']);
  });

  it('returns an error or a list for whatever was unpacked, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat({ max: 5 }), (bytes, count) => {
        const payload = Buffer.concat([word(count), bytes]);
        const result = readHeaderList(payload, 1, headerBlockLimits);
        expect(StreamError.is(result) || Array.isArray(result)).toBe(true);
      }),
    );
  });
});
