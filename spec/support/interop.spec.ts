import { existsSync } from 'node:fs';
import { findBinary, findGoPackage, missingPeer, peers } from './interop.js';
import { runFixtures } from './run-fixtures.js';

describe('a spec without its peer', () => {
  it('is skipped, and the run ends with the reasons and the line for machines', async () => {
    const { exitCode, stdout } = await runFixtures(['peer']);
    expect(exitCode).toBe(0);
    expect(stdout.slice(stdout.indexOf('skipped: '))).toBe(
      [
        'skipped: Nothing is not installed (apt-get install nothing)',
        '  with an absent peer › would talk to it',
        'skipped: Nothing and Nobody are not installed (apt-get install nothing nobody)',
        '  a test with two absent peers',
        'skipped: no reason given',
        '  a test skipped without a word',
        'Tests: 1 passed, 0 failed, 3 skipped',
        '',
      ].join('\n'),
    );
  }, 30_000);

  it('fails where RXMUX_INTEROP=required', async () => {
    const { exitCode, stdout, files } = await runFixtures(['peer'], { RXMUX_INTEROP: 'required' });
    expect(exitCode).toBe(1);
    expect(files.get('peer')?.message).toContain('Nothing is not installed (apt-get install nothing)');
    expect(stdout).toMatch(/\nTests: 1 passed, 2 failed, 1 skipped\n$/);
  }, 30_000);
});

describe('looking for peers', () => {
  it('finds a program in PATH', () => {
    expect(existsSync(findBinary('sh') ?? '')).toBe(true);
    expect(findBinary('rxmux-no-such-binary')).toBeUndefined();
  });

  it('misses a Go package that is not there', () => {
    expect(findGoPackage('example.org/no/such/package')).toBeUndefined();
    const needed = {
      name: 'Such',
      goPackage: 'example.org/no/such/package',
      debianPackage: 'golang-such-dev',
    };
    expect(missingPeer(needed)).toBe('Such is not installed (apt-get install golang-such-dev)');
    expect(missingPeer([])).toBeUndefined();
    expect(peers.go.binary).toBe('go');
  });
});
