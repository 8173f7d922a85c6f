/** What must be there before the first process starts, made on first use. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { absent, goNeeds, goPath, goPeer, missing } from './contenders.mjs';

const benchFolder = path.resolve(import.meta.dirname, '..');
const root = path.resolve(benchFolder, '../..');

function run(log, folder, command, args, env = {}) {
  log(`${command} ${args.join(' ')}`);
  execFileSync(command, args, { cwd: folder, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } });
}

/** The contenders, in a node_modules of their own. */
export function installContenders(log) {
  if (existsSync(path.join(benchFolder, 'node_modules', '.package-lock.json'))) return;
  run(log, benchFolder, 'npm', ['ci', '--no-audit', '--no-fund']);
}

/** We measure what is published: the build, not the sources. */
export function buildLibrary(log) {
  if (process.env.RXMUX_ROOT) return; // another checkout, as it is
  const built = path.join(root, 'dist', 'lib', 'node.js');
  if (!existsSync(built)) run(log, root, 'npm', ['run', 'build']);
  else if (newest(path.join(root, 'lib'), '.ts') > statSync(built).mtimeMs) {
    log('NOTE: lib/ is newer than dist/: this measures the older build. `npm run build` makes a new one.');
  }
}

function newest(folder, ending) {
  const times = readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(ending))
    .map((name) => statSync(path.join(folder, name)).mtimeMs);
  return Math.max(...times);
}

/** The anchors in Go, where Go and the Debian packages of the libraries are installed; else we do without. */
export function buildGoPeer(log) {
  const folder = path.join(benchFolder, 'go');
  if (existsSync(goPeer) && newest(folder, '.go') <= statSync(goPeer).mtimeMs) return;
  const packages = missing(goNeeds);
  if (packages.length > 0) {
    log(`NOTE: no contenders in Go: not installed: ${packages.join(', ')}`);
    return;
  }
  mkdirSync(path.dirname(goPeer), { recursive: true });
  try {
    const env = { GO111MODULE: 'off', GOPATH: goPath, GOFLAGS: '' };
    run(log, folder, 'go', ['build', '-o', goPeer, '.'], env);
  } catch (error) {
    log(`no contenders in Go: ${error.message}`);
  }
}

/** Says who takes no part for want of a program. */
export function sayAbsent(log) {
  for (const { name, packages } of absent()) log(`NOTE: no ${name}: not installed: ${packages.join(', ')}`);
}
