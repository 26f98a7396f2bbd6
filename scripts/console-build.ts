/**
 * The console as static files: `index.html`, and under `assets/` what it loads, each file named after its contents. The same
 * tree gives the same bytes, in whatever folder it lies. It takes less than a second, so nothing of it is kept.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { build, type Metafile } from 'esbuild';
import { type Entries, sha256 } from '../src/release/tar-entries.ts';

export interface BuiltConsole {
  /** By path below the console's folder. */
  readonly files: Entries;
  /** What a browser loads before the first page is there; a part that is loaded later is not among it. */
  readonly firstLoad: readonly string[];
}

const sources = 'src/console';
/** Below the console's folder; everything in it has its digest in its name, so it never changes. */
const assets = 'assets';

/** @param tree a checkout with its node_modules */
export async function buildConsole(tree: string): Promise<BuiltConsole> {
  const { outputFiles, metafile } = await build({
    entryPoints: { main: `${sources}/main.tsx`, style: `${sources}/style/main.css` },
    absWorkingDir: tree,
    // Without these, names of modules would tell in which folder they lay.
    preserveSymlinks: true,
    tsconfigRaw: { compilerOptions: { jsx: 'react-jsx', target: 'es2023', verbatimModuleSyntax: true } },
    bundle: true,
    splitting: true,
    minify: true,
    metafile: true,
    write: false,
    outdir: assets,
    entryNames: '[name]-[hash]',
    chunkNames: 'part-[hash]',
    platform: 'browser',
    format: 'esm',
    target: ['chrome120', 'edge120', 'firefox121', 'safari17'],
    define: { 'process.env.NODE_ENV': '"production"' },
    legalComments: 'eof',
    logLevel: 'warning',
  });
  const files: Entries = new Map(
    outputFiles.map((file) => [path.posix.join(assets, path.basename(file.path)), Buffer.from(file.contents)]),
  );
  const script = outputOf(metafile, `${sources}/main.tsx`);
  const style = outputOf(metafile, `${sources}/style/main.css`);
  const parts = partsOf(metafile, script);
  const icon = await readFile(path.join(tree, sources, 'icon.svg'));
  const iconName = `${assets}/icon-${sha256(icon).slice(0, 8).toUpperCase()}.svg`;
  files.set(iconName, icon);
  const page = await readFile(path.join(tree, sources, 'index.html'), 'utf8');
  const filled = page
    .replace('icon.svg', iconName)
    .replace('style/main.css', style)
    .replace('main.tsx', script)
    .replace('</head>', `${parts.map((part) => `  <link rel="modulepreload" href="/${part}">\n`).join('')}  </head>`);
  files.set('index.html', Buffer.from(filled));
  return { files, firstLoad: [script, style, ...parts] };
}

function outputOf(metafile: Metafile, entryPoint: string): string {
  const found = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === entryPoint);
  if (found === undefined) throw new Error(`Nothing was built of ${entryPoint}.`);
  return found[0];
}

/** What a script imports at once, and what these import. */
function partsOf(metafile: Metafile, script: string, found: string[] = []): string[] {
  for (const { path: name, kind } of metafile.outputs[script]?.imports ?? []) {
    if (kind !== 'import-statement' || found.includes(name)) continue;
    found.push(name);
    partsOf(metafile, name, found);
  }
  return found;
}
