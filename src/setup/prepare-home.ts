/**
 * Makes BRAMBLE_HOME ready for `bramble up`: configuration with free ports, an installed release, PostgreSQL, and the
 * domain itself, created by that release's own program. Safe to repeat: anything that exists is left alone.
 */
import { execFile } from 'node:child_process';
import { access, chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { addressWithoutCredential } from '../base/database-address.ts';
import { BrambleError } from '../base/errors.ts';
import { openDatabase } from '../database/connection.ts';
import { startEmbedded } from '../database/embedded/server.ts';
import { hasTable } from '../database/has-table.ts';
import { unreachableOr } from '../database/unreachable-database.ts';
import { type Configuration, readConfiguration } from '../process/configuration.ts';
import { installRead, readArchive } from '../release/archive.ts';
import { type Acceptance, type Judgement, judgeSigner, noSigner } from '../release/signer-judgement.ts';
import { freePort } from './free-port.ts';
import { hostInUrl, publicHostOf } from './public-host.ts';

export interface HomePlan {
  home: string;
  /** Archive of the release that creates the domain. */
  archive: string;
  name: string;
  /** External PostgreSQL; embedded if absent. */
  databaseUrl?: string;
  /** Settings of the embedded PostgreSQL on top of its defaults. */
  databaseSettings?: Readonly<Record<string, string>>;
  /** Name or address that devices connect to. Default 127.0.0.1, with listening on loopback alone. */
  publicHost?: string | undefined;
  /** Preferred ports; a taken one is replaced by a free one before it is used anywhere. */
  publicPort: number;
  srpPort: number;
  consolePort: number;
  instances: number;
  administrationServices: number;
  /** Name of this host in the domain. */
  host?: string;
  /** What the operator accepts by name; a named signer must be that of the archive. */
  accepted?: Acceptance;
}

interface PreparedHome {
  configuration: Configuration;
  databaseUrl: string;
  release: string;
  /** A message about the archive's signature: there is no domain yet that could know a signer. */
  signature: Judgement;
  /** The domain's; set when it was created, like the address of devices. */
  name: string;
  /** The address that devices connect to: fixed when the domain was created. */
  publicUrl: string;
  /** Whether this call created the domain. */
  created: boolean;
}

const runProgram = promisify(execFile);

/**
 * @throws BrambleError ERR_PUBLIC_HOST, ERR_DOMAIN_EXISTS when the database holds the domain of another home, or
 * ERR_DOMAIN_CREATION with the output of the release's program.
 */
export async function prepareHome(plan: HomePlan): Promise<PreparedHome> {
  const publicHost = plan.publicHost === undefined ? undefined : publicHostOf(plan.publicHost);
  await mkdir(plan.home, { recursive: true, mode: 0o755 });
  // Under root, PostgreSQL runs as another user, who needs to traverse the folder; every secret is protected by its own
  // mode.
  if (process.getuid?.() === 0) await chmod(plan.home, 0o755);
  const wasConfigured = await isPresent(configurationPath(plan.home));
  const configuration = await configurationOf({ ...plan, publicHost });
  const archive = await readArchive(plan.archive);
  const { release } = archive;
  const signature = judgeSigner(archive, noSigner, plan.accepted);
  const database = configuration.database;
  const databaseUrl =
    'url' in database
      ? database.url
      : (await startEmbedded({ folder: join(plan.home, 'postgres'), settings: database.settings })).url;
  const present = await presentDomain(databaseUrl).catch(async (cause: unknown) => {
    if (!('url' in database)) throw cause;
    if (!wasConfigured) await rm(configurationPath(plan.home));
    throw unreachableOr(cause, databaseUrl, 'Correct the address, or start its server. Nothing was made.');
  });
  if (present !== undefined) {
    // Master keys are made before the domain: a home without any has not made this one.
    if ('url' in database && !(await isPresent(join(plan.home, 'keys', 'master.json')))) {
      if (!wasConfigured) await rm(configurationPath(plan.home));
      throw ofAnotherHome(databaseUrl, present.name);
    }
    if (publicHost !== undefined) assertSameHost(present.publicUrl, publicHost);
    return { configuration, databaseUrl, release, signature, ...present, created: false };
  }
  const program = join(await installRead(archive, plan.home), 'bramble.mjs');
  const details = {
    name: plan.name,
    host: configuration.host,
    publicHost: publicHost ?? '127.0.0.1',
    publicPort: configuration.publicPort,
    srpPort: configuration.srpPort,
    instances: plan.instances,
    administrationServices: plan.administrationServices,
    // Of our own server we are the superuser.
    databaseRoles: 'embedded' in database,
    ...('signer' in signature ? { releaseSigner: signature.signer } : {}),
  };
  try {
    await runProgram(process.execPath, [program, 'domain', 'create', '--plan', JSON.stringify(details)], {
      env: { ...process.env, BRAMBLE_HOME: plan.home, DATABASE_URL: databaseUrl },
    });
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : '';
    throw new BrambleError('ERR_DOMAIN_CREATION', `The domain was not created: ${said || 'the program failed'}.`, {
      cause,
    });
  }
  const made = await presentDomain(databaseUrl);
  if (made === undefined) throw new BrambleError('ERR_DOMAIN_CREATION', 'The release’s program created no domain.');
  return { configuration, databaseUrl, release, signature, ...made, created: true };
}

function ofAnotherHome(databaseUrl: string, name: string): BrambleError {
  return new BrambleError(
    'ERR_DOMAIN_EXISTS',
    `The database ${addressWithoutCredential(databaseUrl)} holds the domain "${name}" already, which was made from another home. ` +
      'For a new domain give an empty database. For a further host of that domain have it invited (`bramble host invite`) and join ' +
      '(`bramble join`); to replace a lost home restore a backup (`bramble backup restore`).',
  );
}

/** @throws BrambleError ERR_PUBLIC_HOST */
function assertSameHost(publicUrl: string, wanted: string): void {
  const { hostname: known } = new URL(publicUrl);
  if (known === new URL(`https://${hostInUrl(wanted)}`).hostname) return;
  throw new BrambleError(
    'ERR_PUBLIC_HOST',
    `The domain was created for ${known}, which its devices have in their profiles and which cannot be changed to ` +
      `${wanted}. Omit the host to continue with this domain, or use another home for another domain.`,
  );
}

const configurationPath = (home: string): string => join(home, 'config.json');

async function isPresent(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}

async function configurationOf(plan: HomePlan): Promise<Configuration> {
  const file = configurationPath(plan.home);
  if (!(await isPresent(file))) {
    const listenAddress = listenAddressFor(plan.publicHost);
    const publicPort = await freePort(plan.publicPort, listenAddress);
    const srpPort = await freePort(plan.srpPort, listenAddress, publicPort);
    const configuration = {
      database: plan.databaseUrl
        ? { url: plan.databaseUrl }
        : { embedded: true, settings: { ...plan.databaseSettings } },
      host: plan.host ?? hostname(),
      publicPort,
      srpPort,
      listenAddress,
      console: { port: await freePort(plan.consolePort, '127.0.0.1', publicPort, srpPort) },
    };
    await writeFile(file, `${JSON.stringify(configuration, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  }
  return await readConfiguration(plan.home);
}

/** Loopback only, if devices were given no other host; `::` accepts IPv4 too. */
function listenAddressFor(publicHost: string | undefined): string {
  if (publicHost === undefined) return '127.0.0.1';
  return isIPv6(publicHost) ? '::' : '0.0.0.0';
}

async function presentDomain(databaseUrl: string): Promise<{ name: string; publicUrl: string } | undefined> {
  const db = openDatabase(databaseUrl, { applicationName: 'bramble/prepare-home', max: 1 });
  try {
    if (!(await hasTable(db, 'domain'))) return undefined;
    const [row] = await db<{ name: string; publicUrl: string }[]>`
      select name, public_url as "publicUrl" from domain`;
    return row;
  } finally {
    await db.end({ timeout: 5 });
  }
}
