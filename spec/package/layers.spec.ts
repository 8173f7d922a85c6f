import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const { checkLayers } = require('./layers.cjs') as { checkLayers(root: string): string[] };

function check(files: Readonly<Record<string, string>>): readonly string[] {
  const root = mkdtempSync(join(tmpdir(), 'rxmux-layers-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
    return checkLayers(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

describe('the direction of dependencies', () => {
  it('holds everywhere in this package', () => {
    expect(checkLayers(join(import.meta.dirname, '../..'))).toEqual([]);
  });

  it('lets each layer import those before it', () => {
    const files = {
      'lib/api.ts': "import type { Observable } from 'rxjs';",
      'lib/core/hold.ts': "import { Observable } from 'rxjs/internal/Observable';\nimport '../api.js';",
      'lib/transports/transport.ts': "import '../core/hold.js';",
      'lib/transports/socket.ts': "import 'node:net';\nimport './transport.js';",
      'lib/framer/index.ts': "import '../transports/transport.js';\nimport './codec.js';",
      'lib/framer/codec.ts': "import '../core/hold.js';",
      'lib/ssh/seam.ts': "import 'ssh2';",
      'lib/index.ts': "export * from './framer/index.js';",
      'lib/node.ts': "export * from './index.js';\nexport * from './transports/socket.js';",
      'spec/conformance/index.ts': "import 'rxmux';\nimport './data.js';",
      'spec/conformance/data.ts': "import { Subject } from 'rxjs';",
      'demos/transfer/main.ts': "import 'node:fs';\nimport 'rxmux/node';",
    };
    expect(check(files)).toEqual([]);
  });

  it.each([
    ['core, a transport', 'lib/core/stream.ts', '../transports/memory.js', 'lib/transports/memory.ts'],
    ['core, Node', 'lib/core/stream.ts', 'node:net', 'node:net'],
    ['core, a package', 'lib/core/stream.ts', 'ws', 'ws'],
    ['a transport, a protocol', 'lib/transports/memory.ts', '../framer/codec.js', 'lib/framer/codec.ts'],
    ['a protocol, another', 'lib/spdy/provider.ts', '../framer/codec.js', 'lib/framer/codec.ts'],
    ['a protocol, a wrapper', 'lib/spdy/provider.ts', '../wrappers/tap.js', 'lib/wrappers/tap.ts'],
    [
      'a protocol, a transport',
      'lib/spdy/provider.ts',
      '../transports/memory.js',
      'lib/transports/memory.ts',
    ],
    ['a protocol, an entry', 'lib/spdy/provider.ts', '../index.js', 'lib/index.ts'],
    ['ssh2 outside its seam', 'lib/ssh/provider.ts', 'ssh2', 'ssh2'],
    ['a wrapper, a protocol', 'lib/wrappers/tap.ts', '../framer/codec.js', 'lib/framer/codec.ts'],
    ['the kit, a source', 'spec/conformance/data.ts', '../../lib/index.js', 'lib/index.ts'],
    ['a demo, a source', 'demos/transfer/main.ts', '../../lib/index.js', 'lib/index.ts'],
  ])('forbids %s', (_title, file, specifier, target) => {
    const forms = [`import '${specifier}';`, `export * from '${specifier}';`, `void import('${specifier}');`];
    const part = /^(?:lib|spec)\/[^/]+\/|^demos\//.exec(file)?.[0];
    expect(check({ [file]: forms.join('\n') })).toEqual(
      [1, 2, 3].map((line) => `${file}:${line}: ${part} may not import ${target}`),
    );
  });

  it('forbids types of another layer as well', () => {
    const files = { 'lib/core/a.ts': "import type { Frame } from '../framer/codec.js';" };
    expect(check(files)).toEqual(['lib/core/a.ts:1: lib/core/ may not import lib/framer/codec.ts']);
  });

  it('names a file that belongs to no layer', () => {
    expect(check({ 'lib/misc/a.ts': '' })).toEqual([
      'lib/misc/a.ts: no layer is named for this file (spec/package/layers.cjs)',
    ]);
  });

  it('forbids Node behind a portable entry, however far', () => {
    const files = {
      'lib/index.ts': "export type { Socket } from './transports/socket.js';",
      'lib/transports/socket.ts': "import './net.js';",
      'lib/transports/net.ts': "import type { Socket } from 'node:net';",
      'lib/ssh/index.ts': "import 'node:net';",
    };
    const path = 'lib/index.ts → lib/transports/socket.ts → lib/transports/net.ts';
    expect(check(files)).toEqual([`lib/index.ts: must be portable, but ${path} imports node:net`]);
  });
});
