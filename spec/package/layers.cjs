const { existsSync, readdirSync, readFileSync } = require('node:fs');
const { builtinModules } = require('node:module');
const { dirname, join, relative, resolve, sep } = require('node:path');
const ts = require('typescript');

/**
 * Checks which file imports which: `node layers.cjs`, silent if all is well. Biome looks for import cycles and
 * overlong files; this knows the layers, and what may be reached from the portable entries.
 */

const protocols = ['framer', 'yamux', 'spdy', 'http2', 'ssh'];
const core = ['lib/api.ts', 'lib/core/'];

/** What runs in the dashboard's page beside the page's own files. */
const pageFiles = [...core, 'lib/wrappers/', 'lib/dashboard/messages.ts'];

/** What each part may import beside itself; a name with a slash at its end is a folder. The first match counts. */
const layers = [
  { part: 'lib/api.ts', files: [], packages: ['rxjs'] },
  { part: 'lib/core/', files: core, packages: ['rxjs'] },
  { part: 'lib/transports/', files: core, packages: ['rxjs', 'node:'] },
  ...protocols.map((name) => ({
    part: `lib/${name}/`,
    files: [...core, 'lib/transports/transport.ts'],
    packages: ['rxjs', 'node:'],
  })),
  { part: 'lib/wrappers/', files: core, packages: ['rxjs'] },
  { part: 'lib/interop/', files: core, packages: ['rxjs', 'node:'] },
  { part: 'lib/dashboard/page/', files: pageFiles, packages: ['preact', 'uplot'] },
  { part: 'lib/dashboard/', files: [...core, 'lib/wrappers/'], packages: ['rxjs', 'node:'] },
  { part: 'lib/opentelemetry/', files: [...core, 'lib/wrappers/'], packages: ['rxjs', '@opentelemetry/api'] },
  { part: 'lib/index.ts', files: ['lib/'], packages: [] },
  { part: 'lib/node.ts', files: ['lib/'], packages: [] },
  { part: 'spec/conformance/', files: [], packages: ['rxjs', 'rxmux'] },
  { part: 'demos/', files: [], packages: ['rxjs', 'rxmux', 'node:'] },
];

/** A library that only one part needs is imported in one file of it only, so that it can be replaced there. */
const seams = {
  ssh2: ['lib/ssh/seam.ts'],
  '@lydell/node-pty': ['demos/kubernetes/process.ts'],
  ws: ['demos/kubernetes/web-socket.ts', 'demos/browser/server.ts'],
  esbuild: ['demos/browser/server.ts'],
};

/** These must load in a browser. */
const portableEntries = [
  'index',
  'framer/index',
  'yamux/index',
  'spdy/index',
  'http2/index',
  'wrappers/index',
  'opentelemetry/index',
].map((name) => `lib/${name}.ts`);

/** One sentence for each import that goes the wrong way. */
function checkLayers(root) {
  const names = ['lib', 'spec/conformance', 'demos'].flatMap((folder) => sourceFiles(root, folder));
  const files = new Map(names.map((file) => [file, importsOf(root, file)]));
  const upwards = [...files].flatMap(([file, imports]) => checkLayer(file, imports));
  const entries = portableEntries.filter((entry) => files.has(entry));
  return [...new Set([...upwards, ...entries.flatMap((entry) => checkPortable(files, entry))])];
}

function checkLayer(file, imports) {
  const layer = layers.find(({ part }) => contains(part, file));
  if (!layer) return [`${file}: no layer is named for this file (spec/package/layers.cjs)`];
  const allowed = [layer.part, ...layer.files];
  const mayImport = ({ target, isFile }) =>
    isFile
      ? allowed.some((part) => contains(part, target))
      : layer.packages.some((name) => isOf(name, target)) || seams[target]?.includes(file);
  return imports
    .filter((each) => !mayImport(each))
    .map(({ line, target }) => `${file}:${line}: ${layer.part} may not import ${target}`);
}

/** Follows every import, types included: a declaration file that needs Node's types is no use in a browser. */
function checkPortable(files, entry) {
  const paths = new Map([[entry, [entry]]]);
  const found = [];
  for (const [file, path] of paths) {
    for (const { target, isFile } of files.get(file) ?? []) {
      if (isFile && !paths.has(target)) paths.set(target, [...path, target]);
      if (isOf('node:', target))
        found.push(`${entry}: must be portable, but ${path.join(' → ')} imports ${target}`);
    }
  }
  return found;
}

function contains(part, file) {
  return part.endsWith('/') ? file.startsWith(part) : file === part;
}

function isOf(name, target) {
  if (name === 'node:') return target.startsWith('node:') || builtinModules.includes(target);
  return target === name || target.startsWith(`${name}/`);
}

/** Every `import`, `export … from` and `import()` of a file, as paths from the root or names of packages. */
function importsOf(root, file) {
  const text = readFileSync(join(root, file), 'utf8');
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName, pos }) => {
    const isFile = fileName.startsWith('.');
    const path = () =>
      relative(root, resolve(root, dirname(file), fileName))
        .split(sep)
        .join('/');
    return {
      line: text.slice(0, pos).split('\n').length,
      isFile,
      target: isFile ? path().replace(/\.js$/, '.ts') : fileName,
    };
  });
}

function sourceFiles(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(folder, name).split(sep).join('/'));
}

if (require.main === module) {
  const problems = checkLayers(resolve(__dirname, '../..'));
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

module.exports = { checkLayers };
