/**
 * `npm run demo`: a live domain of the latest sealed release is upgraded to this working tree, in phases, with real processes,
 * real TLS and simulated devices that speak the real protocols. With `--hosts` it begins as a domain of the working tree that
 * further computers join, and accounts move there to the same program under the next number. The exit code is not 0 where a request failed, a tunnel
 * broke, anything was lost or an invariant broke; where something is waited for in vain, how the domain stands is printed.
 */
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { componentOperations } from '../src/api/components.ts';
import { connectionServiceOperations } from '../src/api/connection-services.ts';
import { upgradeOperations } from '../src/api/upgrade.ts';
import { shownLines, shownText } from '../src/base/shown-text.ts';
import { tellFirstSignIn } from '../src/cli/first-sign-in.ts';
import { readJournal } from '../src/simulator/journal.ts';
import { inTime, until } from '../src/testing/condition.ts';
import { type BuiltArchive, nextArchive, sealedArchive, workingTreeArchive } from '../test/harness/archives.ts';
import { isAnswering, type RunningDomain, startDomain } from '../test/harness/domain.ts';
import { type RunningFleet, startFleet } from '../test/harness/fleet.ts';
import { type FurtherHost, separateRoles } from '../test/harness/further-host.ts';
import type { Watched } from '../test/harness/invariants.ts';
import { activateAndChangePolicy } from '../test/harness/old-release-operations.ts';
import { configureDomain, demoBudget } from '../test/harness/preparation.ts';
import { startSampler } from '../test/harness/sampler.ts';
import { stopAdministration } from '../test/harness/stopped-administration.ts';
import { viewUpgrade } from '../test/harness/upgrade-view.ts';
import { startInternalHost, startWorkload, type Workload } from '../test/harness/workload.ts';
import { collectFigures, type DemoReport } from './figures.ts';
import { joinHosts, placesOf, startSharedDatabase, takeOverSupervisors } from './hosts.ts';
import { readDemoOptions } from './options.ts';
import { bar, createProgress } from './progress.ts';
import { failuresOf, reportText } from './report-text.ts';
import { stay } from './stay.ts';
import { createFollower, type UpgradeFollower } from './upgrade-follower.ts';

interface Stage {
  domain: RunningDomain;
  fleet: RunningFleet;
  follower: UpgradeFollower;
  /** The computers that joined. */
  hosts: FurtherHost[];
  target: string;
  workload: Workload;
  watched: Omit<Watched, 'samples'>;
}

const options = readDemoOptions(process.argv.slice(2));
const progress = createProgress(process.stdout);
const startedAt = performance.now();
/** Many times what it takes: for a question that nobody answers, outside of the waits that have an end of their own. */
const limitMs = 20 * 60_000;
/** Accounts of the first wave: one of each of the two instances. */
const canaries = 2;
let keptHome = '';

const report = await runDemo().finally(() => progress.end());
if (options.keep) process.stdout.write(`The domain was kept: BRAMBLE_HOME=${keptHome} bin/bramble up\n`);
const failures = failuresOf(report);
for (const failure of failures) process.stderr.write(`error: ${shownText(failure)}\n`);
process.exit(failures.length === 0 ? 0 : 1);

async function tell(report: DemoReport): Promise<void> {
  progress.end();
  process.stdout.write(`${shownLines(reportText(report, process.stdout.isTTY === true))}\n`);
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`);
}

async function runDemo(): Promise<DemoReport> {
  const over = options.hosts > 1;
  const from = over ? await workingTreeArchive() : await sealedArchive();
  const to = over ? await nextArchive() : await workingTreeArchive();
  const cleanUp: (() => Promise<unknown>)[] = [() => rm(dirname(to.file), { recursive: true, force: true })];
  try {
    progress.step(
      `A domain of release ${from.release} comes up: two instances, two administration services, one router.`,
    );
    const internal = await startInternalHost();
    cleanUp.unshift(async () => internal.server.close());
    const shared = over ? await startSharedDatabase() : undefined;
    if (shared) cleanUp.unshift(shared.stop);
    const domain = await startDomain({
      archive: from.file,
      instances: 2,
      administrationServices: 2,
      databaseSettings: {},
      ...(shared && { externalDatabase: { url: shared.url, outside: shared.url } }),
    });
    cleanUp.unshift(() => domain.stop({ keep: options.keep }));
    keptHome = domain.home;
    if (over) await separateRoles(domain);
    progress.say(`It answers at ${domain.publicUrl}${options.keep ? `; its home is ${domain.home}` : ''}.`);
    await configureDomain(domain, internal.target);
    progress.say(`Budget: ${describeBudget()}`);
    progress.step(`${options.devices} devices of ${options.accounts} accounts are activated (seed ${options.seed}).`);
    const starting = startFleet(domain, {
      devices: options.devices,
      accounts: options.accounts,
      seed: options.seed,
      interval: '1500ms',
      journal: join(domain.home, 'journal.ndjson'),
      args: ['--not-now', '0.05'],
    });
    const fleet = await progress.during(starting, async () => {
      const [row] = await domain.sql<{ active: number }[]>`
        select count(*)::int as active from device where state = 'active'`;
      return `${bar(row?.active ?? 0, options.devices)} devices have enrolled`;
    });
    cleanUp.unshift(() => fleet.stop());
    const hosts: FurtherHost[] = [];
    cleanUp.unshift(() => Promise.all(hosts.map((host) => host.stop())));
    const upgraded = upgradeDomain(from.release, to, domain, fleet, internal.target, hosts);
    const report = await inTime('the upgrade of the demo has come to its end', limitMs, upgraded);
    await tell(report);
    if (options.stay) await stay(domain.home);
    return report;
  } finally {
    for (const clean of cleanUp) await clean().catch((error: unknown) => progress.say(String(error)));
  }
}

async function upgradeDomain(
  from: string,
  to: BuiltArchive,
  domain: RunningDomain,
  fleet: RunningFleet,
  target: string,
  hosts: FurtherHost[],
): Promise<DemoReport> {
  await drained(domain);
  const watched: Stage['watched'] = {
    neverCommitted: null,
    startedWhilePaused: null,
    reversedOperations: null,
    coordinatorKills: { checks: 0, broken: 0 },
  };
  const accounts = await domain.sql<{ name: string }[]>`select name from account order by name`;
  await fleet.tell({ do: 'probe', accounts: accounts.map(({ name }) => name), pauseMs: 60 });
  const sampler = startSampler(domain.sql, demoBudget);
  const workload = startWorkload(domain, fleet, target, { commandIntervalMs: 250, tunnels: 6, tunnelMs: 2500 });
  let locked: DemoReport['features'] | undefined;
  const stage: Stage = { domain, fleet, follower: createFollower(domain, progress), hosts, target, workload, watched };
  try {
    if (options.hosts > 1) await joinHosts(domain, hosts, options.hosts, progress);
    // The gates compare with each account's own past: probed from here on, until its wave begins.
    await startUpgrade(stage, to);
    await moveAccounts(stage);
    // Once it is back, the old release knows nothing of these features: they were locked all the time.
    if (options.reverse) locked = await featuresOf(domain);
    if (options.reverse) await turnBack(stage);
    else await finalize(stage, to.release);
  } finally {
    await workload.stop();
  }
  await fleet.tell({ do: 'come-back' });
  await fleet.tell({ do: 'unprobe' });
  await drained(domain);
  const samples = await sampler.stop();
  await fleet.tell({ do: 'stats' });
  const journal = await readJournal(fleet.journal);
  return await collectFigures({
    sql: domain.sql,
    journal,
    watched: { ...watched, samples },
    enqueued: workload.enqueued,
    budget: demoBudget,
    features: locked ?? (await featuresOf(domain)),
    seed: options.seed,
    outcome: options.reverse ? 'reversed' : 'finalized',
    release: { from, to: to.release, renumbered: options.hosts > 1 },
    wallSeconds: Math.round((performance.now() - startedAt) / 100) / 10,
    startedAtMs: performance.timeOrigin + startedAt,
  });
}

async function featuresOf(domain: RunningDomain): Promise<DemoReport['features']> {
  const { features } = await domain.api.call(componentOperations.listFeatures, {});
  return features.map(({ name, active, lockedBy }) => ({ name, active, lockedBy }));
}

/** An administration service is stopped with an uncommitted write, then the upgrade begins; at its fence it is let go on. */
async function startUpgrade({ domain, follower, hosts, watched }: Stage, to: BuiltArchive): Promise<void> {
  const options = {
    canariesPerInstance: canaries / 2,
    wavePercentages: [100],
    soakSeconds: 2,
    fenceGraceMs: 1500,
    instances: placesOf(hosts),
    // The scene ends with the first computer upgraded, ready to take accounts again.
    oldInstances: 'upgrade',
    gate: { leastRequests: 2, baselineHours: 1, patienceSeconds: 120, latencyFactor: 5, latencySlackMs: 250 },
  };
  const { plan } = await domain.api.call(upgradeOperations.plan, { body: { archive: to.file, ...options } });
  progress.step(`The upgrade to ${to.release} is planned.`);
  if (hosts.length > 0) progress.say(`Release ${to.release} is this working tree under another number.`);
  const { itPolicies, serviceBooks, synchronizations, leastMinutes } = plan.sends;
  progress.say(
    `It will send ${itPolicies} IT policies, ${serviceBooks} service books and ${synchronizations} synchronizations: at ` +
      `least ${Math.ceil(leastMinutes * 60)} s at this budget.`,
  );
  const stopped = await stopAdministration(domain, 'administration-2');
  watched.neverCommitted = stopped.account;
  progress.say(`${stopped.name} is stopped by SIGSTOP with an uncommitted write (account ${stopped.account}).`);
  // Before the checks look, the lease of the stopped service may have run out.
  await domain.api.call(upgradeOperations.start, { body: { overrides: ['backup', 'components'] } });
  await until('the release fence is in place', 60_000, async () => {
    await follower.tellEvents();
    const [row] = await domain.sql`select release from domain`;
    return row?.['release'] === to.release;
  });
  stopped.letGoOn();
  progress.say(`The fence is in place; ${stopped.name} resumes, and its write was refused.`);
  const write = (text: string) => progress.say(text.trim().replaceAll(/\s+/g, ' '));
  await tellFirstSignIn({ home: domain.home, write, signal: AbortSignal.timeout(30_000) });
}

/** The waves, with two disturbances: an operator pauses for a while, and the coordinator is killed. */
async function moveAccounts({ domain, fleet, follower, watched }: Stage): Promise<void> {
  await follower.follow(['all-moved', 'soaking'], {
    timeoutMs: 180_000,
    until: (view) => view.state === 'moving' && view.moved > canaries,
  });
  progress.step('An operator pauses the upgrade.');
  await domain.api.call(upgradeOperations.pause, { body: { reason: 'a look at the canaries' } });
  const calmFrom = await untilCalm(domain);
  const { assigned, moved } = await viewUpgrade(domain);
  const begun = await domain.sql`select 1 from account_move where fenced_at > ${calmFrom}`;
  // Accounts that were still to move, of this wave and the next: none of them may begin.
  watched.startedWhilePaused = { checks: assigned - moved, broken: begun.length };
  await follower.tellEvents();
  await domain.api.call(upgradeOperations.resume, { body: {} });
  await follower.tellEvents();
  progress.step('It goes on; the coordinator is killed (kill -9).');
  const [coordinator] = await domain.sql`select process_id as id from component where kind = 'coordinator'`;
  process.kill(Number(coordinator?.['id']), 'SIGKILL');
  watched.coordinatorKills = { checks: 1, broken: 1 };
  await silenceDevices(domain, fleet);
  if (options.reverse) {
    await follower.follow(['all-moved', 'soaking'], {
      timeoutMs: 90_000,
      until: (view) => view.moved >= view.assigned / 2,
    });
  } else {
    await followSuspects(follower);
    await fleet.tell({ do: 'come-back' });
    await follower.follow(['soaking'], { timeoutMs: 120_000 });
  }
  watched.coordinatorKills.broken = 0;
}

/** Waits until the coordinator has been at work a second after now. @returns the moment from which nothing may begin. */
async function untilCalm(domain: RunningDomain): Promise<Date> {
  const [at] = await domain.sql<{ calm: Date }[]>`select clock_timestamp() + interval '1 second' as calm`;
  if (!at) throw new Error('the database does not tell the time');
  let leases: string[] = [];
  await until('the coordinator has been at work while paused', 60_000, async () => {
    const [row] = await domain.sql<{ lease: string }[]>`
      select lease_until::text as lease from upgrade where state = 'paused' and clock_timestamp() > ${at.calm}`;
    if (row) leases = [...new Set([...leases, row.lease])];
    return leases.length > 1;
  });
  return at.calm;
}

/** Some devices that a delivery is on its way to fall silent as soon as they hold a command: what suspects are for. */
async function silenceDevices(domain: RunningDomain, fleet: RunningFleet): Promise<void> {
  let owed: string[] = [];
  await until('deliveries are owed to moved accounts', 30_000, async () => {
    const rows = await domain.sql<{ name: string }[]>`
      select distinct a.name from delivery d join account a on a.id = d.account_id
       where d.cause = 'move' and d.state = 'owed'`;
    owed = rows.map(({ name }) => name);
    return owed.length > 0;
  });
  const { devices } = await fleet.tell<{ devices: { name: string; account: string }[] }>({ do: 'devices' });
  const silent = devices.filter(({ account }) => owed.includes(account)).slice(0, 4);
  await fleet.tell({ do: 'vanish', devices: silent.map(({ name }) => name), moment: 'with-command' });
  progress.say(`${silent.length} devices fall silent while holding a command.`);
}

async function finalize({ domain, fleet, follower, hosts, target, workload }: Stage, release: string): Promise<void> {
  await drained(domain);
  const [pair] = await domain.sql<{ account: string; service: string; other: string; pid: number }[]>`
    select a.name as account, c.name as service, o.name as other, p.process_id as pid
      from account a
      join device d on d.account_id = a.id and d.state = 'active' and d.platform = 'apple'
      join connection_service_instance r on r.instance_id = a.instance_id
      join connection_service c on c.id = r.connection_service_id
      join component p on p.name = c.name
      join connection_service o on o.id <> c.id
      join connection_service_instance s on s.connection_service_id = o.id
      join upgrade_assignment w on w.to_instance_id = s.instance_id
     order by a.name limit 1`;
  if (!pair) throw new Error('there are no two connection services to fail over between');
  const openThroughOther = async () =>
    await whileKilled(domain, hosts, pair.pid, async () => {
      const answer = await fleet.tell<{ tunnels: { kind: string; httpStatus?: number; code?: string }[] }>({
        do: 'tunnel',
        account: pair.account,
        count: 1,
        target,
      });
      const [tunnel] = answer.tunnels;
      if (!tunnel) throw new Error('no device was there to open a tunnel');
      return tunnel;
    });
  progress.step(`Before finalizing, ${pair.service} is killed: ${pair.account} has no other connection service.`);
  await workload.withoutTunnels(async () => {
    const refused = await openThroughOther();
    progress.say(`A tunnel of ${pair.account} is refused: ${refused.httpStatus} ${refused.code}.`);
    if (refused.kind !== 'refused') throw new Error('a tunnel opened through a killed connection service');
  });
  const { instances } = await serviceOf(domain, pair.service);
  const shared = [...new Set([...instances, ...(await serviceOf(domain, pair.other)).instances])];
  const change = { params: { name: pair.other }, body: { instances: shared } };
  await domain.api.call(connectionServiceOperations.change, change);
  await until(`${pair.service} is back`, 20_000, async () => {
    const [row] = await domain.sql<{ pid: number }[]>`
      select process_id as pid from component
       where name = ${pair.service} and process_id <> ${pair.pid} and (detail->'links'->0->>'up')::boolean`;
    if (row) pair.pid = row.pid;
    return row !== undefined;
  });
  progress.step(`${pair.other} serves both instances, and ${pair.service} is killed again.`);
  await workload.withoutTunnels(async () => {
    const opened = await openThroughOther();
    progress.say(`A tunnel of ${pair.account} is ${opened.kind}, through ${pair.other}.`);
    if (opened.kind !== 'open') throw new Error('no tunnel opened through the other connection service');
    await fleet.tell({ do: 'close-tunnels' });
  });
  for (const { name, lockedBy } of (await featuresOf(domain)).filter(({ active }) => !active)) {
    progress.say(`The feature ${name} is locked by ${lockedBy.join(', ')}.`);
  }
  progress.step('The upgrade is finalized.');
  await domain.api.call(upgradeOperations.finalize, {});
  if (hosts.length > 0) await takeOverSupervisors([domain, ...hosts], release, follower, progress);
  await follower.follow(['done'], { timeoutMs: 90_000 });
  const locked = (await featuresOf(domain)).filter(({ active }) => !active);
  if (locked.length > 0) throw new Error(`finalized, but locked: ${locked.map(({ name }) => name).join(', ')}`);
}

/** Kills a process with a link; `work` is done when the router knows, and before the supervisors, which are stopped, do. */
async function whileKilled<Result>(
  domain: RunningDomain,
  hosts: readonly FurtherHost[],
  pid: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const links = await linksOfRouter(domain);
  const signalSupervisors = (kind: NodeJS.Signals) => {
    for (const { supervisor } of [domain, ...hosts]) supervisor.kill(kind);
  };
  signalSupervisors('SIGSTOP');
  try {
    process.kill(pid, 'SIGKILL');
    await until('the router has lost the link', 20_000, async () => (await linksOfRouter(domain)) < links);
    return await work();
  } finally {
    signalSupervisors('SIGCONT');
  }
}

async function linksOfRouter(domain: RunningDomain): Promise<number> {
  const [router] = await domain.sql<{ url: string }[]>`
    select loopback_url as url from component
     where kind = 'router' and stopped_at is null order by started_at desc limit 1`;
  const metrics = await (await fetch(`${router?.url}/metrics`, { signal: AbortSignal.timeout(20_000) })).text();
  return Number(/^bramble_router_links (\d+)/m.exec(metrics)?.[1]);
}

async function serviceOf(domain: RunningDomain, name: string): Promise<{ instances: string[] }> {
  const list = await domain.api.call(connectionServiceOperations.list, {});
  return list.connectionServices.find((service) => service.name === name) ?? { instances: [] };
}

/** Midway back; then the old release activates a device and changes a policy, and both are acknowledged. */
async function turnBack({ domain, fleet, follower, watched }: Stage): Promise<void> {
  progress.step('An operator turns the upgrade back, midway.');
  await domain.api.call(upgradeOperations.reverse, {});
  await followSuspects(follower);
  await fleet.tell({ do: 'come-back' });
  await follower.follow(['reversed'], { timeoutMs: 120_000 });
  await until('an administration service of the old release answers', 30_000, () => isAnswering(domain));
  const operations = { checks: 2, broken: 2 };
  watched.reversedOperations = operations;
  progress.step('The old release activates a device and changes a policy.');
  await activateAndChangePolicy(domain, fleet, 'after-the-reverse@example.com');
  operations.broken = 0;
}

/** Shows the upgrade going on until a silent device has become a suspect: for six seconds at most. */
async function followSuspects(follower: UpgradeFollower): Promise<void> {
  const endsAt = Date.now() + 6000;
  await follower.follow(['soaking', 'reversed'], {
    timeoutMs: 36_000,
    until: (view) => view.suspects > 0 || Date.now() > endsAt,
  });
}

/** Nothing is owed and no command waits: what was promised has been done. */
async function drained(domain: RunningDomain): Promise<void> {
  await until('every delivery and command is answered', 60_000, async () => {
    const [row] = await domain.sql<{ open: number }[]>`
      select (select count(*)::int from delivery where state in ('owed', 'released', 'handed-out', 'suspect'))
           + (select count(*)::int from command c join device d on d.id = c.device_id
               where c.state in ('queued', 'sent', 'not-now') and d.state = 'active') as open`;
    progress.live(`${row?.open} deliveries and commands are open`);
    return row?.open === 0;
  });
}

function describeBudget(): string {
  const { perInstance, perDomain, suspects, perMinuteInstance, perMinuteDomain } = demoBudget;
  return (
    `${perInstance} deliveries in flight per instance, ${perDomain} in the domain, ${suspects} suspects, ` +
    `${perMinuteInstance} a minute per instance, ${perMinuteDomain} in the domain.`
  );
}
