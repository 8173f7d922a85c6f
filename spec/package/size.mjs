import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/**
 * Bundles for a browser, from the sources, what an application of the framer needs, and prints its size as JSON
 * (`--json`) or as a sentence, failing beyond the budget. rxjs stays outside: the application has it already.
 */

/** ECOSYSTEM.md §3: what a page pays for a multiplexer. */
const budget = 10 * 1024;

const contents = "export * from 'rxmux';\nexport * from 'rxmux/framer';\n";
const root = fileURLToPath(new URL('../..', import.meta.url));

const { outputFiles, metafile } = await build({
  stdin: { contents, resolveDir: root, loader: 'ts' },
  alias: { rxmux: `${root}lib/index.ts`, 'rxmux/framer': `${root}lib/framer/index.ts` },
  absWorkingDir: root,
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  // Left outside so that the bundle can be looked at; a spec wants none of them.
  external: ['rxjs', 'node:*'],
  metafile: true,
  write: false,
  logLevel: 'error',
});

const [bundle] = outputFiles;
const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
const size = {
  minified: bundle.contents.byteLength,
  gzip: gzipSync(bundle.contents, { level: 9 }).byteLength,
  budget,
  imports: [...new Set(imports)],
};

if (process.argv.includes('--json')) {
  console.log(JSON.stringify(size));
} else {
  const { minified, gzip } = size;
  console.log(`core + framer without rxjs: ${minified} bytes minified, ${gzip} gzipped, of ${budget}`);
  if (gzip > budget) process.exitCode = 1;
}
