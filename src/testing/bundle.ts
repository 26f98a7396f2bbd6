/**
 * For tests only: modules that many processes load, bundled once for the process of a test. Loading hundreds of sources
 * costs a process more than the work that a test then gives it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** @returns URLs to import, by the names given to the modules; they exist until this process exits. */
export async function bundleModules<Name extends string>(modules: Record<Name, URL>): Promise<Record<Name, string>> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bramble-modules-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const entries = Object.entries<URL>(modules);
  await build({
    entryPoints: Object.fromEntries(entries.map(([name, url]) => [name, fileURLToPath(url)])),
    bundle: true,
    splitting: true,
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    banner: {
      js: "import{createRequire as __makeRequire}from'node:module';const require=__makeRequire(import.meta.url);",
    },
  });
  return Object.fromEntries(
    entries.map(([name]) => [name, pathToFileURL(path.join(folder, `${name}.mjs`)).href]),
  ) as Record<Name, string>;
}
