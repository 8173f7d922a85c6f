import { codes, frameName, fromWire, headerBytes, preface, toWire } from '../../lib/framer/frames.js';
import { framer } from '../../lib/framer/index.js';
import { code, hex, names, utf8 } from './bytes.js';

describe('the numbers of the Simple Framer', () => {
  it('are those of SPEC §2 and §6', () => {
    expect(names.map((_name, type) => frameName(type))).toEqual(names);
    expect(frameName(names.length)).toBe(`TYPE_${names.length}`);
    expect(codes).toEqual(code);
    expect(headerBytes).toBe(8);
    expect(preface).toEqual(utf8('rxmux/1\n'));
  });

  it.each(Object.entries(code))('put "%s" on the wire as %d', (word, number) => {
    expect(toWire(word as 'cancel')).toBe(number);
    const publicWord = ['limit', 'timeout', 'calm'].includes(word) ? number : word;
    expect(fromWire(number)).toBe(publicWord);
  });

  it.each([10, 255, 256, 300, 2 ** 32 - 1])('carry the code %d as it is, both ways', (number) => {
    expect(toWire(number)).toBe(number);
    expect(fromWire(number)).toBe(number);
  });
});

describe('recognising the Simple Framer', () => {
  it.each([
    ['', undefined],
    ['72', undefined],
    ['72786d75782f31', undefined],
    ['72786d75782f310a', true],
    ['72786d75782f310a00000006', true],
    ['72786d75782f32', false],
    ['504f5354', false],
    ['72786d75792f310a', false],
  ])('takes the first bytes %j for %s', (head, known) => {
    expect(framer.recognises?.(hex(head))).toBe(known);
  });

  it('has a name for ALPN', () => {
    expect(framer.alpn).toBe('rxmux/1');
  });
});
