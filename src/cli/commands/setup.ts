/**
 * `bramble domain create`: a home with a domain of any sealed release. The release's own program creates the domain: it
 * gets the same command with `--plan` and an empty database.
 */

import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import * as z from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { judgementText } from '../../release/signer-judgement.ts';
import type { HomePlan } from '../../setup/prepare-home.ts';
import { type AcceptanceFlags, acceptanceOptions } from '../acceptance-flags.ts';
import { homeFolder } from '../administration-access.ts';
import { number } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { facts } from '../text-output.ts';

/** Everything except what the environment and the release provide. */
const planShape = z.object({
  name: z.string().min(1),
  host: z.string().min(1),
  publicHost: z.string().min(1),
  publicPort: z.number().int().min(1).max(65_535),
  srpPort: z.number().int().min(1).max(65_535),
  tunnelHost: z.string().min(1).default('tunnel.bramble.internal'),
  pushTopic: z.string().min(1).default('com.apple.mgmt.External.bramble'),
  instances: z.number().int().min(1).max(64),
  administrationServices: z.number().int().min(1).max(16),
  databaseRoles: z.boolean().default(false),
  /** Fingerprint of the release's signer, to be trusted from the start. */
  releaseSigner: z.string().max(100).optional(),
});

interface Flags extends AcceptanceFlags {
  archive?: string;
  name: string;
  instances: number;
  administrationServices: number;
  publicHost?: string;
  publicPort: number;
  srpPort: number;
  consolePort: number;
  databaseUrl?: string;
  plan?: string;
}

export function addSetupCommands(program: Command, frame: Frame): void {
  const domains = program.command('domain').description('domains, each in its own home (BRAMBLE_HOME)');
  addCreate(domains, frame);
}

function addCreate(domains: Command, frame: Frame): void {
  example(
    createOptions(
      domains
        .command('create')
        .description(
          'create a new domain in BRAMBLE_HOME from the archive of any release; then run it with `bramble up`',
        ),
    ).action(async (flags: Flags, command: Command) => {
      if (flags.plan !== undefined) await createFromPlan(frame, command, flags.plan);
      else if (flags.archive !== undefined) await createHome(frame, command, flags.archive, flags);
      else
        throw new BrambleError(
          'ERR_USAGE',
          'Give --archive: the archive of the release, such as releases/bramble-1.1.0.tgz.',
        );
    }),
    'BRAMBLE_HOME=~/trial bramble domain create --archive releases/bramble-1.1.0.tgz --instances 2',
  );
}

function createOptions(command: Command): Command {
  return acceptanceOptions(command)
    .option('--archive <file>', 'archive of the release to create the domain with')
    .option('--name <text>', 'name of the domain', 'Bramble')
    .option('--instances <number>', 'server instances, each with a connection service', number, 1)
    .option('--administration-services <number>', 'administration services', number, 1)
    .option(
      '--public-host <name>',
      'name or address that devices will use, which cannot be changed later (default: 127.0.0.1, listening on ' +
        'loopback only)',
    )
    .option('--public-port <port>', 'port that devices connect to; if it is in use, a free one is chosen', number, 8443)
    .option('--srp-port <port>', 'port that instances dial; if it is in use, a free one is chosen', number, 3101)
    .option(
      '--console-port <port>',
      'port that administrators connect to, on loopback; if it is in use, a free one is chosen',
      number,
      3180,
    )
    .option('--database-url <url>', 'your own, empty PostgreSQL database (default: an embedded PostgreSQL)')
    .addOption(new Option('--plan <json>', 'create the domain in the empty database DATABASE_URL').hideHelp());
}

async function createHome(frame: Frame, command: Command, archive: string, flags: Flags): Promise<void> {
  const [{ prepareHome }, { stopEmbedded }] = await Promise.all([
    import('../../setup/prepare-home.ts'),
    import('../../database/embedded/server.ts'),
  ]);
  const home = resolve(homeFolder(frame.environment));
  const { publicHost, publicPort, srpPort, consolePort, databaseUrl } = flags;
  const plan: HomePlan = {
    ...{ home, archive: resolve(archive), name: flags.name, publicPort, srpPort, consolePort },
    instances: inRange('--instances', flags.instances, 64),
    administrationServices: inRange('--administration-services', flags.administrationServices, 16),
    ...(publicHost === undefined ? {} : { publicHost }),
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
    accepted: { signer: flags.acceptSigner, unsigned: flags.acceptUnsigned },
  };
  const prepared = await prepareHome(plan);
  if (!prepared.created) {
    throw new BrambleError(
      'ERR_DOMAIN_EXISTS',
      `${home} holds the domain "${prepared.name}" already. Run it with \`bramble up\`, or set BRAMBLE_HOME to ` +
        'another home.',
    );
  }
  // Nothing supervises it before `bramble up`, which starts it again.
  if ('embedded' in prepared.configuration.database) await stopEmbedded({ folder: `${home}/postgres`, mode: 'fast' });
  const made = {
    ...{ name: prepared.name, release: prepared.release, home, publicUrl: prepared.publicUrl },
    srpPort: prepared.configuration.srpPort,
    signature: prepared.signature,
  };
  frame.show(command, made, (domain, style) => {
    const lines = facts(style, [
      ['domain', domain.name],
      ['release', domain.release],
      ['signature', judgementText(domain.signature)],
      ['home', domain.home],
      ['devices connect to', domain.publicUrl],
      ['instances dial', `port ${domain.srpPort}`],
    ]);
    return `${lines}\n\nRun it with \`bramble up\`; all its files are in its home.`;
  });
}

function inRange(option: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new BrambleError('ERR_USAGE', `${option} requires a whole number from 1 to ${most}, not ${value}.`);
}

async function createFromPlan(frame: Frame, command: Command, plan: string): Promise<void> {
  const [{ createDomain }, { migrationFolder }, { thisRelease }] = await Promise.all([
    import('../../setup/create-domain.ts'),
    import('../../release/program.ts'),
    import('../../release/this-release.ts'),
  ]);
  const databaseUrl = frame.environment['DATABASE_URL'];
  if (databaseUrl === undefined) {
    throw new BrambleError('ERR_ENVIRONMENT', 'DATABASE_URL is not set: set it to the empty database.');
  }
  const { releaseSigner, pushTopic: wakeChannel, ...details } = planShape.parse(JSON.parse(plan));
  const created = await createDomain({
    ...details,
    wakeChannel,
    ...(releaseSigner === undefined ? {} : { releaseSigner }),
    home: homeFolder(frame.environment),
    databaseUrl,
    sqlFolder: migrationFolder(),
    release: thisRelease.release,
  });
  frame.show(command, { publicUrl: created.publicUrl, instances: created.instances }, ({ publicUrl }) => publicUrl);
}
