import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/**
 * Bundles the dashboard's page into one HTML text, and writes that as a module, `lib/dashboard/page-html.ts`, so that it
 * is loaded like any other source: in specs, and from the package.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'lib/dashboard/page');

const { outputFiles } = await build({
  entryPoints: [join(folder, 'main.tsx'), join(folder, 'style.css')],
  absWorkingDir: root,
  outdir: join(root, '.cache/page'),
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: ['chrome120', 'firefox121', 'safari17'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  charset: 'utf8',
  write: false,
  logLevel: 'warning',
});

const textOf = (end) => outputFiles.find(({ path }) => path.endsWith(end)).text.trim();
const html = readFileSync(join(folder, 'index.html'), 'utf8')
  .replace('/* style */', () => textOf('.css').replaceAll('</style', '<\\/style'))
  .replace('/* script */', () => textOf('.js').replaceAll('</script', '<\\/script'));
const module = `/** Made of lib/dashboard/page by spec/support/build-page.mjs. */\nexport const pageHtml: string = ${JSON.stringify(html)};\n`;
writeFileSync(join(root, 'lib/dashboard/page-html.ts'), module);
