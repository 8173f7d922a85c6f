import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Runs the suite on each Node that is supported: `npm run test:nodes -- [majors] [-- arguments for Jest]`.
 * Those that are not the current one come from npm, into .cache/.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const args = process.argv.slice(2);
const split = args.indexOf('--') < 0 ? args.length : args.indexOf('--');
const chosen = args.slice(0, split);
const jestArgs = args.slice(split + 1);
const majors = chosen.length > 0 ? chosen : ['20', '22', '24', '26'];

const failed = majors.filter((major) => !runSuite(major));
if (majors.some((major) => !isCurrent(major))) buildNativeParts(process.execPath);
if (failed.length > 0) {
  console.error(`failed on Node ${failed.join(', ')}`);
  process.exitCode = 1;
}

function runSuite(major) {
  const node = nodeBinary(major);
  const version = node && spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim();
  if (!version) {
    console.log(`Node ${major}: could not be obtained`);
    return false;
  }
  if (!isCurrent(major)) buildNativeParts(node);
  const { status, stdout, stderr } = spawnSync(node, ['node_modules/jest/bin/jest.js', ...jestArgs], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: Number.POSITIVE_INFINITY,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environmentOf(node),
  });
  if (status !== 0) process.stdout.write(`${stderr}${stdout}`);
  const summary = stdout.trimEnd().split('\n').at(-1);
  console.log(`Node ${version}: ${summary || `no summary, exit code ${status}`}`);
  return status === 0;
}

/**
 * Compiles the parts of `ssh2` that are not JavaScript for this Node: what was built for another one is not loaded, and
 * SSH would run, unsaid, in its slow form. Where there is no compiler that is what it does anyway.
 */
function buildNativeParts(node) {
  const headers = dirname(dirname(node));
  spawnSync('npm', ['rebuild', 'ssh2', 'cpu-features'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...environmentOf(node),
      ...(existsSync(join(headers, 'include/node')) && { npm_config_nodedir: headers }),
    },
  });
}

/** Specs that start `node` get the same one. */
function environmentOf(node) {
  return { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
}

function isCurrent(major) {
  return process.versions.node.startsWith(`${major}.`);
}

function nodeBinary(major) {
  if (isCurrent(major)) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(root, '.cache/nodes', major);
  const binary = join(folder, 'node_modules', name, 'bin/node');
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  const install = ['install', '--prefix', folder, '--no-save', '--no-package-lock', `${name}@${major}`];
  const { status } = spawnSync('npm', install, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  return status === 0 && existsSync(binary) ? binary : undefined;
}
