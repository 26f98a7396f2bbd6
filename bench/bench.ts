/**
 * `npm run bench [-- api | connect | move | upgrade | cost | gates | idle | bulk | memory | backup | rehearsal | streams | sign-ins | migrations | console] [--json FILE] [...]`: what the domain does in a second, how long a moved
 * account is without its server, how often gates are wrong, what a domain costs in which nothing happens. Without a name all of it, quickly. bench/RESULTS.md says how to read it.
 */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { readOptions } from '../scripts/script-options.ts';
import { sealedArchive, workingTreeArchive } from '../test/harness/archives.ts';
import { benchApi, describeApi } from './api.ts';
import { benchBackup, describeBackup } from './backup.ts';
import { benchBulk, describeBulk } from './bulk.ts';
import { benchConnect, describeReport, readBenchDevices } from './connect.ts';
import { benchConnectDomain, describeConnect } from './connect-domain.ts';
import { benchConsole } from './console.ts';
import { benchCost, describeCost } from './cost/cost.ts';
import { benchGates, describeGoals } from './gates/gates.ts';
import { benchIdle, describeIdle, type IdleReport } from './idle.ts';
import { candidates } from './measured-domain.ts';
import { benchMemory, describeMemory } from './memory.ts';
import { benchMigrations, describeMigrations } from './migrations.ts';
import { benchMove, describeMove } from './move.ts';
import { benchRehearsal, describeRehearsal } from './rehearsal.ts';
import { benchSignIns, describeSignIns } from './sign-ins.ts';
import { benchStreams } from './streams.ts';
import { benchUpgrade, type ReleaseStep } from './upgrade.ts';

const usage = `npm run bench [-- <name>] [options]
  api       lists and search at a steady rate, beside a bare Fastify server
            --accounts 100000 --seconds 60 --rate 50 --seed SEED
  connect   Idle connects a second: bare node:http, an instance, the whole way through the router
            --devices 200 --connections 64 --seconds 10 --runs 3 --sealed
            --with-streams 200: the working tree with so many streams of live events beside it, too
            with --target URL --file FILE [--identity header|signature] against a server that runs already, of whatever
            make: a path in the URL is used for all devices; answers other than an empty 200 fail the run
  move      accounts moved a second, and how long each is without its server
            --devices 60 --probed 8 --runs 25 --sealed
  bulk      accounts moved a second whose devices cannot be reached
            --accounts 1000,20000
  upgrade   a phased upgrade whose devices answer at once: effects a second, share of the budget, statements for an account
            --accounts 1000,10000 --moved 500 --seconds 30 --sealed
  cost      event loop that the dearest input found takes, for each address and parser; ends with 1 when the goal is missed
            --tries 400 --seed SEED --only 'part of a name'
  gates     how often a gate is wrong about a wave: simulated traffic, good and bad; ends with 1 when a goal is missed
            --waves 1000 --seed SEED
  idle      transactions, statements, connections and processor time of a domain in which nobody does anything
            --seconds 60 --sealed
  backup    how long a backup takes, trying and restoring it, the export to an external database, and what devices notice
            --accounts 100000
  rehearsal how long a backup of a large domain takes, and the rehearsal of the upgrade with it
            --accounts 100000
  memory    resident memory of each process while a fleet is at work
            --devices 200 --seconds 60
  streams   what open streams of live events cost the administration service and its database
            --streams 0,1,200 --seconds 30
  sign-ins  how long devices wait while strangers try passwords as fast as they are let
            --devices 50 --connections 8 --rate 100 --seconds 20 --runs 3
  migrations
            the schema's expansion on the tables of a large domain of the latest sealed release, while devices connect
            --accounts 100000 --events 5000000 --connections 8 --rate 100
  console   how long the console takes in a browser from its address until it can be used
            --runs 10
  --sealed measures the latest sealed release too, in a domain of its own and in turns with the working tree
  --json FILE writes the figures`;

const { values, positionals } = readOptions(usage, {
  allowPositionals: true,
  options: {
    devices: { type: 'string' },
    connections: { type: 'string' },
    seconds: { type: 'string' },
    rate: { type: 'string' },
    runs: { type: 'string' },
    probed: { type: 'string' },
    accounts: { type: 'string' },
    moved: { type: 'string' },
    tries: { type: 'string' },
    waves: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    streams: { type: 'string', default: '0,1,200' },
    'with-streams': { type: 'string' },
    events: { type: 'string' },
    target: { type: 'string' },
    file: { type: 'string', default: 'bench-devices.json' },
    identity: { type: 'string', default: 'header' },
    sealed: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const [name = 'all'] = positionals;
const quick = name === 'all';
const say = (text: string) => console.log(text);

if (
  ![
    'all',
    'api',
    'connect',
    'move',
    'cost',
    'gates',
    'idle',
    'bulk',
    'memory',
    'backup',
    'rehearsal',
    'streams',
    'sign-ins',
    'migrations',
    'console',
    'upgrade',
  ].includes(name)
) {
  console.log(usage);
  process.exitCode = 2;
} else {
  const figures: Record<string, unknown> = {
    at: new Date().toISOString(),
    node: process.version,
    cores: availableParallelism(),
    loadBefore: loadavg()[0],
  };
  if (values.target !== undefined) figures['connectTarget'] = await runTarget(new URL(values.target));
  else {
    if (name === 'api') figures['api'] = await runApi();
    if (quick || name === 'connect') figures['connect'] = await runConnect();
    if (quick || name === 'move') figures['move'] = await runMove();
    if (quick || name === 'cost') figures['cost'] = await runCost();
    if (quick || name === 'gates') figures['gates'] = runGates();
    if (quick || name === 'bulk') figures['bulk'] = await runBulk();
    if (name === 'upgrade') figures['upgrade'] = await runUpgrade();
    if (name === 'idle') figures['idle'] = await runIdle();
    if (name === 'backup') figures['backup'] = await runBackup();
    if (name === 'rehearsal') figures['rehearsal'] = await runRehearsal();
    if (name === 'streams') figures['streams'] = await runStreams();
    if (name === 'sign-ins') figures['signIns'] = await runSignIns();
    if (name === 'migrations') figures['migrations'] = await runMigrations();
    if (name === 'console') figures['console'] = await benchConsole({ runs: number(values.runs, 10), say });
    if (name === 'memory') figures['memory'] = await runMemory();
  }
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
}

async function runApi(): Promise<unknown> {
  const figures = await benchApi({
    accounts: number(values.accounts, 100_000),
    seconds: number(values.seconds, 60),
    perSecond: number(values.rate, 50),
    seed: values.seed ?? randomUUID(),
    say,
  });
  say(describeApi(figures));
  return figures;
}

async function runConnect(): Promise<unknown> {
  const result = await benchConnectDomain({
    candidates: await candidates(values.sealed),
    devices: number(values.devices, quick ? 64 : 200),
    connections: number(values.connections, 64),
    durationMs: number(values.seconds, quick ? 4 : 10) * 1000,
    runs: number(values.runs, quick ? 1 : 3),
    streams: values['with-streams'] === undefined ? 0 : number(values['with-streams'], 0),
    say,
  });
  for (const [of, figures] of Object.entries(result)) say(describeConnect(figures, of));
  return result;
}

async function runMove(): Promise<unknown> {
  const result = await benchMove({
    candidates: await candidates(values.sealed),
    devices: number(values.devices, quick ? 40 : 60),
    probed: number(values.probed, 8),
    runs: number(values.runs, quick ? 4 : 25),
    say,
  });
  for (const [of, figures] of Object.entries(result)) say(describeMove(figures, of));
  return result;
}

async function runBulk(): Promise<unknown> {
  const sizes = (values.accounts ?? (quick ? '500' : '1000,20000')).split(',');
  const result = await benchBulk({ accounts: sizes.map((size) => number(size, 0)), say });
  say(`Bulks of moves\n  ${describeBulk(result)}`);
  return result;
}

async function runUpgrade(): Promise<unknown> {
  const sealed = await sealedArchive();
  const steps: ReleaseStep[] = [{ from: sealed, to: await workingTreeArchive() }];
  if (values.sealed) steps.unshift({ from: await sealedArchive(sealed.release), to: sealed });
  return await benchUpgrade({
    steps,
    accounts: (values.accounts ?? '1000,10000').split(',').map((size) => number(size, 0)),
    moved: number(values.moved, 500),
    seconds: number(values.seconds, 30),
    say,
  });
}

async function runCost(): Promise<unknown> {
  const report = await benchCost({
    seed: values.seed ?? randomUUID(),
    tries: number(values.tries, quick ? 60 : 400),
    only: values.only,
    say,
  });
  say(describeCost(report));
  if (!report.reached) process.exitCode = 1;
  return report;
}

async function runIdle(): Promise<unknown> {
  const reports: Record<string, IdleReport> = {};
  for (const { name, archive } of await candidates(values.sealed)) {
    const report = await benchIdle({ archive, seconds: number(values.seconds, 60), say });
    say(describeIdle(report, name));
    reports[name] = report;
  }
  return reports;
}

async function runMemory(): Promise<unknown> {
  const report = await benchMemory({ devices: number(values.devices, 200), seconds: number(values.seconds, 60), say });
  say(describeMemory(report));
  return report;
}

async function runStreams(): Promise<unknown> {
  const streams = values.streams.split(',').map(Number);
  return await benchStreams({ streams, seconds: number(values.seconds, 30), say });
}

async function runSignIns(): Promise<unknown> {
  const report = await benchSignIns({
    devices: number(values.devices, 50),
    connections: number(values.connections, 8),
    perSecond: number(values.rate, 100),
    seconds: number(values.seconds, 20),
    runs: number(values.runs, 3),
    say,
  });
  say(describeSignIns(report));
  return report;
}

async function runMigrations(): Promise<unknown> {
  const report = await benchMigrations({
    accounts: number(values.accounts, 100_000),
    events: number(values.events, 5_000_000),
    devices: number(values.devices, 50),
    connections: number(values.connections, 8),
    perSecond: number(values.rate, 100),
    say,
  });
  say(describeMigrations(report));
  return report;
}

async function runBackup(): Promise<unknown> {
  const figures = await benchBackup({ accounts: number(values.accounts, 100_000), say });
  say(describeBackup(figures));
  return figures;
}

async function runRehearsal(): Promise<unknown> {
  const figures = await benchRehearsal({ accounts: number(values.accounts, 100_000), say });
  say(describeRehearsal(figures));
  return figures;
}

function runGates(): unknown {
  const result = benchGates({ seed: values.seed ?? randomUUID(), waves: number(values.waves, quick ? 40 : 1000), say });
  say(describeGoals(result));
  if (result.missed.length > 0) process.exitCode = 1;
  return result;
}

async function runTarget(target: URL): Promise<unknown> {
  const { identity } = values;
  if (identity !== 'header' && identity !== 'signature') throw new Error(usage);
  const report = await benchConnect({
    target,
    devices: readBenchDevices(values.file, values.devices === undefined ? undefined : Number(values.devices)),
    identity,
    connections: number(values.connections, 64),
    durationMs: number(values.seconds, 10) * 1000,
  });
  say(describeReport(report));
  return report;
}

function number(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${text} is not a number above 0.\n${usage}`);
  return value;
}
