import { watch } from '../conformance/wait.js';
import { open } from './frames.js';
import { clearRigs, rig } from './raw-peer.js';

afterEach(clearRigs);

describe('names that mean something to JavaScript', () => {
  const names = [
    '__proto__',
    'constructor',
    'tostring',
    'hasownproperty',
    'prototype',
    'then',
    'length',
    '0',
  ];

  it('are headers like any others, and pollute nothing', async () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const { provider, peer } = await rig();
    const { values } = watch(provider.accept$);
    await peer.say(open(1, { headers: names.map((name) => [name, `value of ${name}`] as const) }));
    const headers = values[0]?.headers;
    expect([...(headers ?? [])]).toEqual(names.map((name) => [name, `value of ${name}`]));
    for (const name of names) expect(headers?.get(name)).toBe(`value of ${name}`);
    expect(headers?.has('valueof')).toBe(false);
    const json = headers?.toJSON() ?? {};
    expect(Object.keys(json).sort()).toEqual([...names].sort());
    expect(Object.getPrototypeOf(json)).toBeNull();
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('travel back as they are, more than once', async () => {
    const { provider, peer } = await rig();
    provider.accept$.subscribe({ next: (stream) => stream.accept(stream.headers), error: () => {} });
    await peer.say(
      open(1, {
        headers: [
          ['__proto__', 'a'],
          ['__proto__', 'b'],
        ],
      }),
    );
    expect(peer.last('ACCEPT', 1).headers).toEqual(['__proto__', 'a', '__proto__', 'b']);
  });
});
