/** `bramble simulate` as the command line knows it: its options, and where it finds the domain. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { BrambleError } from '../base/errors.ts';
import { readInputFile } from '../base/input-file.ts';
import { type AdministrationAccess, type FindAccess, readAdministrationAccess } from './administration-access.ts';
import { simulate } from './main.ts';

interface Flags {
  devices: number;
  accounts?: number;
  seed?: string;
  adminUrl?: string;
  token?: string;
  adminCa?: string;
  publicUrl?: string;
  tunnelHost?: string;
  ca?: string;
  journal?: string;
  interval: number;
  pushPort: number;
  duration?: number;
  prefix: string;
  notNow?: number;
  errors?: number;
  oddAnswers?: number;
  exportDevices?: string;
  replacePush: boolean;
  control: boolean;
  json: boolean;
}

/**
 * To be added to the program; `findAccess` is asked where the flags name no administration service. Stops in good order on
 * SIGINT and SIGTERM; exit status 1 where a device was lost or refused.
 */
export function simulateCommand(findAccess: FindAccess = readFromHome): Command {
  return new Command('bramble simulate')
    .description(
      'run simulated devices against a domain; the simulator replaces its push service meanwhile, so real devices ' +
        'are not woken until it ends and restores the previous settings (after Ctrl-C too)',
    )
    .option('--devices <number>', 'how many devices', count, 40)
    .option(
      '--accounts <number>',
      'how many user accounts they belong to (default: three for every five devices)',
      count,
    )
    .option('--seed <text>', 'the same seed makes the same fleet (default: drawn, and printed)')
    .option('--admin-url <url>', 'administration service (default: from admin.json in BRAMBLE_HOME)')
    .option('--token <token>', 'administrator token, with --admin-url')
    .option('--admin-ca <file>', 'root of the administration service, with --admin-url')
    .option('--public-url <url>', 'address that devices connect to (default: the domain’s)')
    .option('--tunnel-host <name>', 'host name that tunnels are opened under')
    .option(
      '--ca <file>',
      'root certificate that devices trust before they are enrolled (default: no check before enrolment)',
    )
    .option('--journal <file>', 'append what devices sent and received to this file, as NDJSON')
    .addOption(
      new Option('--interval <time>', 'mean time between the contacts of a device, such as 500ms, 2s or 15m')
        .argParser(duration)
        .default(900_000, '15m'),
    )
    .option(
      '--replace-push',
      'temporarily replace even a push service that the domain or another simulator has set',
      false,
    )
    .option('--push-port <port>', 'port of the simulated push service (0: any)', port, 0)
    .option('--duration <time>', 'stop after this time', duration)
    .option('--prefix <text>', 'prefix of account and device names', '')
    .option('--not-now <probability>', 'share of commands that are answered NotNow', share)
    .option('--errors <probability>', 'share of commands that fail', share)
    .option('--odd-answers <probability>', 'share of answers with odd contents besides status and command', share)
    .option('--export-devices <file>', 'write the file that bench connect needs, without private keys')
    .option('--control', 'take commands as JSON lines from standard input', false)
    .option('--json', 'write JSON lines instead of text', false)
    .action(async (flags: Flags) => {
      const stop = new AbortController();
      const onSignal = (): void => stop.abort(new Error('stopped by a signal'));
      // Not `once`: a terminal and our parent process may both deliver the same Ctrl-C.
      process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
      const find = await findAccessOf(flags, findAccess);
      const caPem = flags.ca === undefined ? (await find()).caPem : await readInputFile(flags.ca);
      const result = await simulate(
        {
          devices: flags.devices,
          accounts: flags.accounts ?? Math.max(1, Math.ceil((flags.devices * 3) / 5)),
          seed: flags.seed ?? randomBytes(6).toString('hex'),
          findAccess: find,
          intervalMs: flags.interval,
          pushPort: flags.pushPort,
          prefix: flags.prefix,
          replacePush: flags.replacePush,
          control: flags.control,
          json: flags.json,
          ...(flags.journal === undefined ? {} : { journalPath: flags.journal }),
          ...(flags.duration === undefined ? {} : { durationMs: flags.duration }),
          ...(flags.publicUrl === undefined ? {} : { publicUrl: flags.publicUrl }),
          ...(flags.tunnelHost === undefined ? {} : { tunnelHost: flags.tunnelHost }),
          ...(caPem === undefined ? {} : { caPem }),
          ...(flags.notNow === undefined ? {} : { notNowProbability: flags.notNow }),
          ...(flags.errors === undefined ? {} : { errorProbability: flags.errors }),
          ...(flags.oddAnswers === undefined ? {} : { oddAnswerProbability: flags.oddAnswers }),
          ...(flags.exportDevices === undefined ? {} : { exportPath: flags.exportDevices }),
        },
        { input: process.stdin, output: process.stdout, errors: process.stderr },
        stop.signal,
      );
      if (flags.control) process.stdin.destroy();
      if (result.lostDevices > 0 || result.activationsRefused > 0) process.exitCode = 1;
    });
}

/** `admin.json` of BRAMBLE_HOME. */
function readFromHome(): Promise<AdministrationAccess> {
  const home = process.getuid?.() === 0 ? '/var/lib/bramble' : join(process.cwd(), '.bramble');
  return readAdministrationAccess(process.env['BRAMBLE_HOME'] ?? home);
}

async function findAccessOf(flags: Flags, findAccess: FindAccess): Promise<FindAccess> {
  if (flags.adminUrl === undefined) return findAccess;
  if (flags.token === undefined) {
    throw new BrambleError('ERR_ADMIN_ACCESS', '--admin-url needs --token: the token of an administrator.');
  }
  const caPem = flags.adminCa === undefined ? {} : { caPem: await readInputFile(flags.adminCa) };
  const access = { urls: [flags.adminUrl], token: flags.token, ...caPem };
  return async () => access;
}

function count(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('a whole number from 1 to 999999 is needed.');
}

function port(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgumentError('a port from 0 to 65535 is needed.');
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('a number from 0 to 1 is needed.');
}

/** Milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match?.[2] ?? ''];
  if (match?.[1] !== undefined && unitMs !== undefined && Number(match[1]) > 0) return Number(match[1]) * unitMs;
  throw new InvalidArgumentError('a time such as 500ms, 2s, 15m or 1h is needed.');
}
