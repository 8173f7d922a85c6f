import fc from 'fast-check';
import { StreamError } from '../../lib/core/errors.js';
import { toHeaders } from '../../lib/core/headers.js';
import {
  decodeFirst,
  decodeHeaders,
  encodeFields,
  encodeMessage,
  headerFields,
  PayloadReader,
  readMessage,
  readUint32,
  type SshHandler,
  writeUint32,
} from '../../lib/ssh/codec.js';
import { messageName } from '../../lib/ssh/frames.js';
import { decodeOpen, encodeOpen } from '../../lib/ssh/standard-types.js';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const ascii = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Writes down what a message says. */
function said(payload: Uint8Array): string {
  let line = '';
  const tell =
    (name: string) =>
    (...values: readonly (number | string | boolean | Uint8Array | PayloadReader)[]): void => {
      const shown = values.map((value) =>
        value instanceof PayloadReader
          ? `+${toHex(value.rest())}`
          : value instanceof Uint8Array
            ? ascii(value)
            : String(value),
      );
      line = [name, ...shown].join(' ');
    };
  const names = [
    ...['disconnect', 'globalRequest', 'requestSuccess', 'requestFailure', 'channelOpen', 'openConfirmation'],
    ...['openFailure', 'windowAdjust', 'data', 'extendedData', 'eof', 'close', 'channelRequest'],
    ...['channelSuccess', 'channelFailure', 'unknown'],
  ];
  const handler = Object.fromEntries(names.map((name) => [name, tell(name)])) as unknown as SshHandler;
  readMessage(payload, handler);
  return line;
}

/** Written out from RFC 4254's forms by hand, except where it says otherwise. */
const golden: readonly (readonly [string, string])[] = [
  // §5.1: "session", 0, 2 MiB, 32 KiB, as OpenSSH 9.2 opens one.
  ['5a 00000007 73657373696f6e 00000000 00200000 00008000', 'channelOpen session 0 2097152 32768 +'],
  ['5b 00000001 00000000 00000000 00008000', 'openConfirmation 1 0 0 32768 +'],
  // Ours, and the same but for the last byte.
  [
    '5a 00000010 73747265616d4072786d75782e646576 00000001 00000000 00008000',
    'channelOpen stream@rxmux.dev 1 0 32768 +',
  ],
  [
    '5a 00000010 73747265616d4072786d75782e646577 00000001 00000000 00008000',
    'channelOpen stream@rxmux.dew 1 0 32768 +',
  ],
  // As sshd refuses a type that it does not know.
  ['5c 00000000 00000002 0000000b 6f70656e206661696c6564 00000000', 'openFailure 0 2 open failed'],
  ['5c 00000003 fe000005 00000000 00000000', 'openFailure 3 4261412869 '],
  ['5d 00000002 ffffffff', 'windowAdjust 2 4294967295'],
  ['5e 00000000 00000005 68656c6c6f', 'data 0 hello'],
  ['5e 00000000 00000000', 'data 0 '],
  ['5f 00000000 00000001 00000003 657272', 'extendedData 0 1 err'],
  ['60 00000007', 'eof 7'],
  ['61 00000007', 'close 7'],
  // §6.10.
  ['62 00000000 0000000b 657869742d737461747573 00 00000003', 'channelRequest 0 exit-status false +00000003'],
  ['62 00000000 00000004 65786563 01 00000002 6c73', 'channelRequest 0 exec true +000000026c73'],
  ['63 00000000', 'channelSuccess 0'],
  ['64 00000009', 'channelFailure 9'],
  // As OpenSSH asks whether we are alive.
  ['50 00000015 6b656570616c697665406f70656e7373682e636f6d 01', 'globalRequest keepalive@openssh.com true +'],
  ['51 0000a1b2', 'requestSuccess +0000a1b2'],
  ['52', 'requestFailure'],
  // tinyssh's answer to that.
  ['03 00000006', 'requestFailure'],
  ['01 0000000b 00000004 646f6e65 00000000', 'disconnect 11 done'],
  ['01 0000000b 00000004 646f6e65', 'disconnect 11 done'],
  ['70 01', 'unknown 112'],
];

describe('messages as they stand on the wire', () => {
  it.each(golden)('%s says: %s', (bytes, event) => {
    expect(said(hex(bytes))).toBe(event);
  });

  it('are written as they are read', () => {
    const made = [
      encodeMessage(90, 'session', 0, 2_097_152, 32_768),
      encodeMessage(92, 0, 2, 'open failed', ''),
      encodeMessage(93, 2, 2 ** 32 - 1),
      encodeMessage(94, 0, { string: Buffer.from('hello') }),
      encodeMessage(98, 0, 'exec', true, 'ls'),
      encodeMessage(81, hex('0000a1b2')),
      encodeMessage(1, 11, 'done', ''),
    ].map(toHex);
    expect(golden.map(([bytes]) => bytes.replaceAll(' ', ''))).toEqual(expect.arrayContaining(made));
  });

  it('end where their form ends: one byte less or more is an error', () => {
    for (const [bytes] of golden) {
      const payload = hex(bytes);
      const type = payload[0] as number;
      if (type >= 0x70 || type === 81 || type === 80 || type === 98 || type === 90) continue;
      if (type !== 91) expect(() => said(Uint8Array.of(...payload, 0))).toThrow(StreamError);
      if (payload.byteLength > 1) expect(() => said(payload.subarray(0, -1))).toThrow(StreamError);
    }
  });

  it('may say what is no UTF-8 to people, and to nobody else', () => {
    expect(said(hex('5c 00000000 00000002 00000002 fffe 00000000'))).toContain('openFailure 0 2');
    expect(() => said(hex('62 00000000 00000002 fffe 00'))).toThrow(/UTF-8/);
  });

  it('have names', () => {
    expect([90, 94, 80, 1, 200].map(messageName)).toEqual([
      'CHANNEL_OPEN',
      'CHANNEL_DATA',
      'GLOBAL_REQUEST',
      'DISCONNECT',
      'UNKNOWN(200)',
    ]);
  });
});

const bounds = {
  maxHeaders: 4,
  maxHeaderBlockBytes: 100,
  maxHeaderNameBytes: 10,
  maxHeaderValueBytes: 20,
} as const;

const decoded = (block: Uint8Array): readonly string[] | StreamError => {
  const reader = new PayloadReader(block);
  const headers = decodeHeaders(reader, bounds);
  return StreamError.is(headers) ? headers : reader.last(headers);
};

describe('header blocks', () => {
  it('are a number, and strings in turn', () => {
    const block = encodeFields(
      headerFields([
        ['a', '1'],
        ['b', ''],
      ]),
    );
    expect(toHex(block)).toBe('00000002 00000001 61 00000001 31 00000001 62 00000000'.replaceAll(' ', ''));
    expect(decoded(block)).toEqual(['a', '1', 'b', '']);
    expect(toHex(encodeFields(headerFields([])))).toBe('00000000');
  });

  const tooMuch: Record<string, Uint8Array> = {
    'five headers where four are allowed': encodeFields([5]),
    'four billion headers': encodeFields([2 ** 32 - 1]),
    'a long name': encodeFields([1, 'elevenchars', '']),
    'a long value': encodeFields([1, 'a', 'x'.repeat(21)]),
    'a long block': encodeFields([4, ...Array.from({ length: 8 }, () => 'x'.repeat(9))]),
  };
  it.each(Object.entries(tooMuch))('with %s refuse the stream', (_name, block) => {
    expect(decoded(block)).toMatchObject({ code: 'limit', remote: true });
  });

  const wrong: Record<string, Uint8Array> = {
    'nothing in them': new Uint8Array(0),
    'fewer headers than they say': encodeFields([2, 'a', '1']),
    'more than they say': encodeFields([1, 'a', '1', 'b']),
    'a string past their end': hex('00000001 00000009 61'),
    'a value that is not UTF-8': encodeFields([1, 'a', { string: Uint8Array.of(0xc3, 0x28) }]),
  };
  it.each(Object.entries(wrong))('with %s end the connection', (_name, block) => {
    expect(() => decoded(block)).toThrow(StreamError);
  });

  it('come back as they were', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 3 });
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { maxLength: 4 }), (headers) => {
        const block = encodeFields(headerFields(headers));
        const result = decoded(block);
        if (StreamError.is(result)) expect(result.code).toBe('limit');
        else expect(result).toEqual(headers.flat());
      }),
    );
  });
});

describe('first data', () => {
  const first = (bytes: string): unknown => {
    const data = decodeFirst(new PayloadReader(hex(bytes)));
    return data && [data.end, ascii(data.bytes)];
  };

  it('is whether that was all, and bytes, or nothing at all', () => {
    expect(first('')).toBeNull();
    expect(first('00 00000005 68656c6c6f')).toEqual([false, 'hello']);
    expect(first('01 00000005 68656c6c6f')).toEqual([true, 'hello']);
    expect(first('01 00000000')).toEqual([true, '']);
  });

  it('stands behind the headers', () => {
    const reader = new PayloadReader(
      encodeFields([1, 'a', '1', true, { string: new TextEncoder().encode('x') }]),
    );
    expect(decodeHeaders(reader, bounds)).toEqual(['a', '1']);
    expect(decodeFirst(reader)).toEqual({ end: true, bytes: Uint8Array.of(120) });
  });

  it.each(['00', '01 00000001', '01 00000000 00'])(
    'that is not of its form ends the connection: %s',
    (bytes) => {
      expect(() => first(bytes)).toThrow(StreamError);
    },
  );
});

describe('standard channels', () => {
  const opens: readonly (readonly [Parameters<typeof encodeOpen>[0], Record<string, string>, string])[] = [
    // RFC 4254 §7.2.
    [
      'direct-tcpip',
      { ':host': 'db', ':port': '5432', ':origin-host': '::1', ':origin-port': '9' },
      '00000002 6462 00001538 00000003 3a3a31 00000009',
    ],
    [
      'forwarded-tcpip',
      { ':host': '', ':port': '80', ':origin-host': 'a', ':origin-port': '1' },
      '00000000 00000050 00000001 61 00000001',
    ],
    // OpenSSH's PROTOCOL §2.4.
    ['direct-streamlocal', { ':path': '/s' }, '00000002 2f73 00000000 00000000'],
    ['forwarded-streamlocal', { ':path': '/s' }, '00000002 2f73 00000000'],
  ];
  it.each(opens)('%s has its fields as pseudo-headers', (kind, headers, bytes) => {
    const made = encodeOpen(kind, toHeaders(headers));
    expect(toHex(made)).toBe(bytes.replaceAll(' ', ''));
    expect(decodeOpen(kind, new PayloadReader(made))).toEqual([
      ':ssh',
      kind,
      ...Object.entries(headers).flat(),
    ]);
  });
});

describe('numbers of 32 bits', () => {
  it('are read as they are written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => {
        const bytes = new Uint8Array(6);
        expect(writeUint32(bytes, 1, value)).toBe(5);
        expect(readUint32(bytes, 1)).toBe(value);
        expect(new PayloadReader(bytes, 1).uint32()).toBe(value);
      }),
    );
  });
});
