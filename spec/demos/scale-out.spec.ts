import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describeWithPeer, peers } from '../support/interop.js';

const root = join(__dirname, '../..');

describeWithPeer('one connection, HAProxy and three servers', peers.haproxy, () => {
  it('spread streams; a drained server finishes its own, those of a killed one are lost and opened again', async () => {
    const script = join(root, 'dist/demos/scale-out/main.js');
    const { stdout } = await promisify(execFile)(process.execPath, [script], { cwd: root });
    expect(stdout).toMatch(/9 streams of one connection: [1-9] on A, [1-9] on B, [1-9] on C/);
    const rows = stdout.split('\n').filter((line) => /^ *\d+ {2}[ABC] /.test(line));
    const of = (word: string): string[] => rows.filter((row) => row.includes(word));
    expect(of('its server drained').every((row) => / {2}20 {2}finished /.test(row))).toBe(true);
    // Opened while B drained: each said one more, wherever it was and whatever came of it.
    const later = rows.filter((row) => / [ABC] +11 {2}/.test(row));
    expect(later).toHaveLength(6);
    expect(later.every((row) => !/ B +\d/.test(row))).toBe(true);
    expect(of('its server was killed').every((row) => / C +\d+ {2}lost \((reset|closed)/.test(row))).toBe(
      true,
    );
    expect(of('opened again')).toHaveLength(of('its server was killed').length);
    expect(of('its server was killed').length).toBeGreaterThan(0);
    expect(stdout).toContain('Every stream ended as it should');
  }, 60_000);
});
