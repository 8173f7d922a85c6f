import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Looks at the package as it would be published: what is in the tarball, whether each entry loads from there, whether
 * its types resolve, what in the sources nobody uses, and what it weighs in a browser.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, '.cache/package');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const bin = (name) => join(root, 'node_modules/.bin', name);

rmSync(folder, { recursive: true, force: true });
mkdirSync(join(folder, 'node_modules/rxmux'), { recursive: true });
// Ends the scope of our own package.json, by which `rxmux` would mean the sources' dist/ and not the tarball.
writeFileSync(join(folder, 'package.json'), '{}');

node('spec/support/prepare.mjs', '--build');
const [packed] = JSON.parse(
  output('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]),
);
const tarball = join(folder, packed.filename);
const allowed =
  /^(dist\/(lib|spec\/conformance)\/.*\.(js|d\.ts)|lib\/framer\/[^/]+|lib\/ssh\/go\/rxmux\.go|docs\/(http2|recipes|trace)\.md|docs\/trace\.schema\.json|package\.json|[A-Z]+(\.md)?)$/;
const unexpected = packed.files.map(({ path }) => path).filter((path) => !allowed.test(path));
if (unexpected.length > 0) fail(`the tarball has files that nobody should get: ${unexpected.join(', ')}`);
console.log(`${packed.filename}: ${packed.files.length} files, ${packed.size} bytes`);

run('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(folder, 'node_modules/rxmux')]);
symlinkSync(join(root, 'node_modules/rxjs'), join(folder, 'node_modules/rxjs'));
const entries = Object.keys(manifest.exports).filter((name) => !name.endsWith('.json'));
for (const entry of entries) {
  const specifier = entry.replace('.', manifest.name);
  run(process.execPath, ['--input-type=module', '-e', `await import('${specifier}')`], folder);
}
console.log(`each of ${entries.join(', ')} loads`);

// A browser's project: no types of Node, and a library of types that is older than `await using`.
const strict = {
  strict: true,
  target: 'es2022',
  module: 'esnext',
  moduleResolution: 'bundler',
  types: [],
  noEmit: true,
};
writeFileSync(
  join(folder, 'tsconfig.json'),
  JSON.stringify({ compilerOptions: strict, files: ['browser.ts'] }),
);
writeFileSync(
  join(folder, 'browser.ts'),
  `import { framer, fromWebSocket } from '${manifest.name}';
export const connection = framer(fromWebSocket(new WebSocket('wss://example.com')), { role: 'client' });`,
);
run(bin('tsc6'), ['-p', folder]);
console.log('its types are enough for a browser');

run(bin('publint'), ['run', tarball, '--strict']);
run(bin('attw'), [tarball, '--profile', 'esm-only']);
run(bin('knip'), []);
node('spec/package/size.mjs');

function node(...args) {
  run(process.execPath, args);
}

function run(command, args, cwd = root) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) fail(`${[command, ...args].join(' ')} failed${error ? `: ${error.message}` : ''}`);
}

function output(command, args) {
  const { status, stdout } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) fail(`${[command, ...args].join(' ')} failed`);
  return stdout;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
