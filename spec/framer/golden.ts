import * as b from './bytes.js';

/** What a client says first. */
export const start: Uint8Array = b.hello('client');

/** Each frame as the independent implementation in spec/interop/go/framer writes it, and what it says. */
export const golden: readonly (readonly [bytes: string, event: string])[] = [
  [
    '0800000f 00000001 03 0006 00016100 0131 68656c6c6f00',
    'open 1 urgency=3 end=false headers=[a=1] data=68656c6c6f00',
  ],
  ['09000003 00000002 00 0000', 'open 2 urgency=0 end=true headers=[] data='],
  ['08000003 7fffffff 07 0000', 'open 2147483647 urgency=7 end=false headers=[] data='],
  ['10000002 00000001 0000', 'accept 1 end=false headers=[] data='],
  ['1100000d 00000001 0006 0001610001 31 68656c6c6f', 'accept 1 end=true headers=[a=1] data=68656c6c6f'],
  [
    '1800001e 00000001 00000004 0009 6e6f207468616e6b73 000d 0005782d776879 000474657374',
    'refuse 1 code=4 reason=no thanks headers=[x-why=test]',
  ],
  ['20000003 00000001 616263', 'data 1 end=false 616263'],
  ['21000000 00000001', 'data 1 end=true '],
  ['28000004 00000000 00010000', 'credit 0 65536'],
  ['28000004 00000001 7fffffff', 'credit 1 2147483647'],
  ['30000008 00000001 0006 0001780001 79', 'trailers 1 headers=[x=y]'],
  ['38000004 00000001 00000005', 'stop 1 code=5'],
  [
    '40000015 00000001 00000100 000f 6368616e676564206d79206d696e64',
    'reset 1 code=256 reason=changed my mind',
  ],
  ['48000008 00000000 0001020304050607', 'ping 0001020304050607'],
  ['50000008 00000000 08090a0b0c0d0e0f', 'pong 08090a0b0c0d0e0f'],
  ['58000013 00000000 00000003 00000001 0009 626164206672616d65', 'goaway last=3 code=1 reason=bad frame'],
  ['60000000 00000000', 'skip type=12 length=0'],
  ['b8000002 00000009 abcd', 'skip type=23 length=2'],
];
