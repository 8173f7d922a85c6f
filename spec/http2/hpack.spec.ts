import { HpackDecoder, HpackEncoder } from '../../lib/http2/hpack.js';
import { hex } from './support.js';

interface Example {
  readonly name: string;
  readonly wire: string;
  readonly fields: readonly string[];
  /** The dynamic table afterwards, by HPACK's count. */
  readonly tableBytes: number;
}

const requests = [
  [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com'],
  [
    ':method',
    'GET',
    ':scheme',
    'http',
    ':path',
    '/',
    ':authority',
    'www.example.com',
    'cache-control',
    'no-cache',
  ],
  [
    ':method',
    'GET',
    ':scheme',
    'https',
    ':path',
    '/index.html',
    ':authority',
    'www.example.com',
    'custom-key',
    'custom-value',
  ],
] as const;

const dates = ['Mon, 21 Oct 2013 20:13:21 GMT', 'Mon, 21 Oct 2013 20:13:22 GMT'] as const;
const location = ['location', 'https://www.example.com'] as const;
const cookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';

const responses = [
  [':status', '302', 'cache-control', 'private', 'date', dates[0], ...location],
  [':status', '307', 'cache-control', 'private', 'date', dates[0], ...location],
  [
    ':status',
    '200',
    'cache-control',
    'private',
    'date',
    dates[1],
    ...location,
    'content-encoding',
    'gzip',
    'set-cookie',
    cookie,
  ],
] as const;

function examples(
  section: string,
  lists: readonly (readonly string[])[],
  sizes: readonly number[],
  wires: readonly string[],
): readonly Example[] {
  return lists.map((fields, at) => ({
    name: `${section}.${at + 1}`,
    fields,
    tableBytes: sizes[at] as number,
    wire: wires[at] as string,
  }));
}

/** Golden bytes: RFC 7541 Appendix C. */
const C3 = examples(
  'C.3',
  requests,
  [57, 110, 164],
  [
    '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    '8286 84be 5808 6e6f 2d63 6163 6865',
    '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
  ],
);

const C4 = examples(
  'C.4',
  requests,
  [57, 110, 164],
  [
    '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    '8286 84be 5886 a8eb 1064 9cbf',
    '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
  ],
);

const C5 = examples(
  'C.5',
  responses,
  [222, 222, 215],
  [
    `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
   2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
    '4803 3330 37c1 c0bf',
    `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0
   5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b
   206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
  ],
);

const C6 = examples(
  'C.6',
  responses,
  [222, 222, 215],
  [
    `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
   2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
    '4883 640e ffc1 c0bf',
    `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
   77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0
   03ed 4ee5 b106 3d50 07`,
  ],
);

/** The responses are for a table of 256 bytes, so that entries have to go. */
function decoderOf(tableBytes: number): HpackDecoder {
  const decoder = new HpackDecoder();
  if (tableBytes !== 4096) {
    decoder.setTableLimit(tableBytes);
    decoder.decode(hex('3fe101'), 1);
  }
  return decoder;
}

describe.each([
  ['C.3: requests without Huffman code', 4096, C3],
  ['C.4: requests with Huffman code', 4096, C4],
  ['C.5: responses without Huffman code', 256, C5],
  ['C.6: responses with Huffman code', 256, C6],
])('RFC 7541 Appendix %s', (_name, tableBytes, list) => {
  it('decodes, one after the other', () => {
    const decoder = decoderOf(tableBytes);
    for (const example of list) {
      expect(decoder.decode(hex(example.wire), 1).fields).toEqual(example.fields);
      expect(decoder.tableBytes).toBe(example.tableBytes);
    }
  });
});

describe('RFC 7541 Appendix C.2: single fields', () => {
  it.each([
    [
      'C.2.1',
      '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      ['custom-key', 'custom-header'],
      55,
    ],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', [':path', '/sample/path'], 0],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', ['password', 'secret'], 0],
    ['C.2.4', '82', [':method', 'GET'], 0],
  ])('%s', (_name, wire, fields, tableBytes) => {
    const decoder = new HpackDecoder();
    expect(decoder.decode(hex(wire), 1).fields).toEqual(fields);
    expect(decoder.tableBytes).toBe(tableBytes);
  });
});

describe('the encoder', () => {
  it('writes the requests as Appendix C.4 does', () => {
    const encoder = new HpackEncoder();
    for (const example of C4) {
      expect(encoder.encode(example.fields)).toEqual(hex(example.wire));
      expect(encoder.tableBytes).toBe(example.tableBytes);
    }
  });

  it('writes the responses as Appendix C.6 does, but keeps the cookie out of the table', () => {
    const encoder = new HpackEncoder({ tableBytes: 256 });
    expect(encoder.encode([])).toEqual(hex('3fe101'));
    expect(encoder.encode(responses[0])).toEqual(hex((C6[0] as Example).wire));
    // "307" is no shorter in Huffman code, and so goes as it does in C.5.
    expect(encoder.encode(responses[1])).toEqual(hex((C5[1] as Example).wire));
    const last = C6[2] as Example;
    // The same up to set-cookie (0x77: name 55, to be stored), which is 0x1f28 here: name 55, never indexed.
    const wire = hex(last.wire);
    const at = wire.indexOf(0x77);
    const own = encoder.encode(last.fields);
    expect(own.subarray(0, at)).toEqual(wire.subarray(0, at));
    expect(own.subarray(at)).toEqual(new Uint8Array([0x1f, 0x28, ...wire.subarray(at + 1)]));
  });
});
