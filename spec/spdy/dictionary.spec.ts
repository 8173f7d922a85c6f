import { createRequire } from 'node:module';
import { SPDY_DICTIONARY_ID, spdyDictionary } from '../../lib/spdy/dictionary.js';
import { adler32 } from '../../lib/spdy/inflate.js';

const { protocol } = createRequire(require.resolve('spdy'))('spdy-transport') as {
  protocol: { spdy: { dictionary: Record<string, Uint8Array> } };
};

describe('the SPDY/3 dictionary', () => {
  it('has 1,423 bytes', () => {
    expect(spdyDictionary.length).toBe(1423);
  });

  it('has the checksum by which every SPDY/3 peer names it', () => {
    expect(adler32(spdyDictionary)).toBe(SPDY_DICTIONARY_ID);
  });

  it('is the one that spdy-transport ships', () => {
    expect(Buffer.from(spdyDictionary).equals(protocol.spdy.dictionary['3.1'] as Uint8Array)).toBe(true);
  });
});
