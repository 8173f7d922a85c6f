import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Makes a fresh clone ready: installs what package-lock.json says if that is newer than node_modules, and with
 * `--build` compiles into dist/ if a source is newer than that; `--rebuild` compiles in any case. Silent and
 * quick when there is nothing to do. Uses nothing but Node, since nothing else may be there yet.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const builtFile = join(root, 'dist/.built');

/** The dashboard's page, bundled; a source like any other from then on. */
const pageFile = 'lib/dashboard/page-html.ts';

requireNode(20, 19);
if (newest('package-lock.json') > newest('node_modules/.package-lock.json')) {
  npm('ci', '--include=dev', '--no-audit', '--no-fund');
}
if (newestPage() > newest(pageFile)) run(process.execPath, [join(root, 'spec/support/build-page.mjs')]);
const wanted = process.argv.includes('--build') && newestSource() > newest('dist/.built');
if (wanted || process.argv.includes('--rebuild')) build();

function build() {
  // A renamed source would leave its old output behind.
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  const startedAt = new Date();
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc6'), '-p', 'tsconfig.build.json']);
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(builtFile, `${startedAt.toISOString()}\n`);
}

function newestPage() {
  const inside = filesIn('lib/dashboard/page');
  return Math.max(...['lib/dashboard/messages.ts', 'spec/support/build-page.mjs', ...inside].map(newest));
}

/** Folders count too: their time changes when a file goes away. */
function filesIn(folder) {
  const inside = readdirSync(join(root, folder), { recursive: true });
  return [folder, ...inside.map((name) => join(folder, name))];
}

/** When a file was last changed; 0 if there is none. */
function newest(name) {
  return statSync(join(root, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function newestSource() {
  const files = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  for (const folder of ['lib', 'demos', 'spec/conformance']) {
    if (!existsSync(join(root, folder))) continue;
    files.push(...filesIn(folder));
  }
  return Math.max(...files.map(newest));
}

function npm(...args) {
  const cli = process.env.npm_execpath;
  if (cli?.endsWith('npm-cli.js')) run(process.execPath, [cli, ...args]);
  else run('npm', args);
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) console.error(`${command} could not be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

function requireNode(major, minor) {
  const [hasMajor, hasMinor] = process.versions.node.split('.').map(Number);
  if (hasMajor > major || (hasMajor === major && hasMinor >= minor)) return;
  console.error(`rxmux needs Node ${major}.${minor} or newer; this is ${process.version}.`);
  process.exit(1);
}
