import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/**
 * Bundles for a browser, from the sources, what an application of the framer needs, and prints its size as JSON
 * (`--json`) or as a sentence, failing beyond the budget. rxjs stays outside: the application has it already. Wrappers
 * are in the same entry, and cost an application only those that it names: the size of everything is printed beside.
 */

/** What a page should pay for a multiplexer. Not reached: see `most`. */
const target = 10 * 1024;
/** What it pays at most, until the target is reached: it may shrink, and not grow. */
const most = 22.75 * 1024;

/** What an application names that uses the framer and no wrapper. */
const core = "export { framer, hold, memoryPair, pullMap, StreamError } from 'rxmux';\n";
const everything = "export * from 'rxmux';\nexport * from 'rxmux/framer';\n";
const root = fileURLToPath(new URL('../..', import.meta.url));

const [{ imports: coreImports, ...coreSize }, all] = await Promise.all([measure(core), measure(everything)]);
const imports = [...new Set([...coreImports, ...all.imports])];
const size = { ...coreSize, target, most, everything: all.gzip, imports };

if (process.argv.includes('--json')) {
  console.log(JSON.stringify(size));
} else {
  const { minified, gzip, everything } = size;
  const verdict = gzip <= target ? 'met' : 'missed';
  console.log(
    `core + framer without rxjs: ${minified} bytes minified, ${gzip} gzipped; target ${target}: ${verdict}`,
  );
  console.log(`everything in the portable entry: ${everything} gzipped`);
  if (gzip > most) {
    console.error(`more than ${most} bytes: it must not grow`);
    process.exitCode = 1;
  }
}

async function measure(contents) {
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
  return {
    minified: bundle.contents.byteLength,
    gzip: gzipSync(bundle.contents, { level: 9 }).byteLength,
    imports: Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path)),
  };
}
