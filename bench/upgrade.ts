/**
 * `bench upgrade`: a phased upgrade of a domain of many accounts, whose devices answer as soon as they are woken, from the sealed
 * release to the working tree. Two waves are measured:
 *
 *   lifted   slots as an installation has them, rates that hold nothing back: what the machinery does
 *   paced    a rate that the machine can keep: how much of it is used while accounts are left
 *
 * Beside the rates, which depend on the neighbours, stand counts that do not: statements and processor time for each account,
 * in domains of several sizes, and the memory of the coordinator.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Budget } from '../src/api/budget.ts';
import { upgradeOperations } from '../src/api/upgrade.ts';
import { until } from '../src/testing/condition.ts';
import type { BuiltArchive } from '../test/harness/archives.ts';
import { type RunningDomain, startDomain } from '../test/harness/domain.ts';
import { startFleet } from '../test/harness/fleet.ts';
import { configureDomain, setBudget } from '../test/harness/preparation.ts';
import { openGate } from '../test/harness/upgrade.ts';
import { type BenchDevice, readBenchDevices } from './connect.ts';
import { trustLoopbackProxy, untilNothingIsOwed, usualSlots } from './measured-domain.ts';
import { readMemory } from './memory.ts';
import { type AnswerTimes, askAsOperator, describeAnswers } from './operator-questions.ts';
import { cpuPerRequest, readProcessCpu } from './process-cpu.ts';
import {
  countingSettings,
  type DearStatement,
  dearest,
  openStatementCounter,
  type StatementCounter,
  sumOf,
  usesBetween,
} from './statement-counts.ts';
import {
  addAccountsWithDevices,
  type PromptCounts,
  type PromptDevices,
  startPromptDevices,
} from './upgrade-devices.ts';

/** One release that is upgraded to the next. */
export interface ReleaseStep {
  from: BuiltArchive;
  to: BuiltArchive;
}

export interface UpgradeBenchOptions {
  steps: readonly ReleaseStep[];
  /** Sizes of the domains, one after the other. */
  accounts: readonly number[];
  /** Accounts of the wave with lifted rates; all of a domain that has no more. */
  moved: number;
  /** How long the paced wave is watched; not at all where no accounts are left. */
  seconds: number;
  say: (text: string) => void;
}

export interface UpgradeFigures {
  step: string;
  accounts: number;
  devices: number;
  plan: PlanFigures;
  /** Seconds in each state until the first wave, checks and division into waves included. */
  phases: Record<string, number>;
  lifted: LiftedFigures;
  paced: PacedFigures | undefined;
  /** While the paced wave goes on. */
  answers: AnswerTimes | undefined;
  /** Of the coordinator, in MB, from the beginning of the first wave to the end of the last one. */
  coordinatorMb: { start: number; middle: number; end: number; most: number };
  /** What the devices did, and met. */
  contacts: PromptCounts;
}

export interface PlanFigures {
  /** At the rates of an installation, as it says itself. */
  minutes: number;
  /** Of planning and of starting; and the most that the administration service had in memory meanwhile. */
  planMs: number;
  startMs: number;
  administrationMb: number;
  /** Processor time of planning, by kind of process. */
  planCpuUs: Record<string, number>;
}

export interface LiftedFigures {
  accounts: number;
  effects: number;
  seconds: number;
  accountsPerSecond: number;
  effectsPerSecond: number;
  /** Of the domain's slots, on the average, while accounts were left. */
  slotsUsed: number;
  statementsPerAccount: number;
  /** Of 8 KiB, of PostgreSQL's buffers. */
  pagesPerAccount: number;
  /** For each account: the most frequent ones, and those that PostgreSQL spent most time in. */
  mostFrequent: DearStatement[];
  longest: DearStatement[];
  /** Processor time for each account, by kind of process; `devices` is the bench itself. */
  cpuUs: Record<string, number>;
}

export interface PacedFigures {
  perMinute: number;
  seconds: number;
  effects: number;
  /** Of what the rate would have let through, while accounts were left. */
  share: number;
  /** For each effect: time that PostgreSQL spent in statements, pages that they went through, and in which. */
  statementMs: number;
  pages: number;
  longest: DearStatement[];
  /** Processor time for each effect, by kind of process. */
  cpuUs: Record<string, number>;
}

/** Rates of an installation, which the plan counts with. */
const usualRates = { perMinuteInstance: 100, perMinuteDomain: 300 };
const limitMs = { wave: 3 * 3_600_000, enrolled: 120_000 };
const gate = { ...openGate, patienceSeconds: 0 };
const lookMs = 1000;
/** The paced wave is watched from then on: what the wave before left in the bucket is gone. */
const settlingMs = 3000;

export async function benchUpgrade(options: UpgradeBenchOptions): Promise<UpgradeFigures[]> {
  const figures: UpgradeFigures[] = [];
  for (const accounts of options.accounts) {
    for (const step of options.steps) {
      const one = await upgradeOnce(step, accounts, options);
      figures.push(one);
      options.say(describeUpgrade([one]));
    }
  }
  return figures;
}

async function upgradeOnce(
  { from, to }: ReleaseStep,
  accounts: number,
  { moved, seconds, say }: UpgradeBenchOptions,
): Promise<UpgradeFigures> {
  const step = `${from.release} → ${to.release}`;
  say(`${step}, ${accounts} accounts`);
  const domain = await startDomain({ archive: from.file, instances: 2, databaseSettings: countingSettings });
  try {
    const counter = await openStatementCounter(domain);
    try {
      const devices = await prepareDomain(domain, accounts);
      try {
        const plan = await planInto(domain, to, Math.min(1, moved / accounts));
        await untilWave(domain, 2);
        const phases = await readPhases(domain);
        const measured = await measureWaves(domain, { counter, devices, seconds, say });
        return { step, accounts, devices: devices.devices, plan, phases, ...measured };
      } finally {
        await devices.close();
      }
    } finally {
      await counter.close();
    }
  } finally {
    await domain.stop();
  }
}

/** Services and policies as in the demo, and accounts whose devices are like one that enrolled. */
async function prepareDomain(domain: RunningDomain, accounts: number): Promise<PromptDevices> {
  await configureDomain(domain, '127.0.0.1:9');
  await setBudget(domain, { ...usualSlots, suspectAfterSeconds: 60 });
  await trustLoopbackProxy(domain);
  await addAccountsWithDevices(domain, await enrolOne(domain), accounts);
  // Its wakes are not paced either.
  await domain.sql`
    insert into setting (key, value) values ('delivery', '{"wakesPerSecond": 10000}')
        on conflict (key) do update set value = setting.value || excluded.value`;
  return await startPromptDevices(domain, () => readInstances(domain));
}

/** An enrolled phone that has taken everything; nobody plays it from then on but {@link startPromptDevices}. */
async function enrolOne(domain: RunningDomain): Promise<BenchDevice> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-bench-'));
  try {
    const journal = join(folder, 'journal.ndjson');
    const fleet = await startFleet(domain, { devices: 8, accounts: 8, seed: 'bench', interval: '5s', journal });
    const file = join(folder, 'devices.json');
    try {
      await untilNothingIsOwed(domain, limitMs.enrolled);
      await fleet.tell({ do: 'export', file });
    } finally {
      await fleet.stop();
    }
    const [phone] = await domain.sql<{ udid: string }[]>`
      select udid from device where state = 'active' and platform = 'apple' and model like 'iPhone%'
       order by os_version desc limit 1`;
    // Accounts without a device that answers would be waited for.
    await domain.sql`delete from account a using device d where d.account_id = a.id and d.udid is distinct from ${phone?.udid ?? ''}`;
    const like = readBenchDevices(file).find(({ udid }) => udid === phone?.udid);
    if (like === undefined) throw new Error('no phone has enrolled');
    return like;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Loopback addresses of the instances that are alive, by their SRP identifiers. */
async function readInstances(domain: RunningDomain): Promise<Map<string, URL>> {
  const rows = await domain.sql<{ owner: string; url: string }[]>`
    select /* bench */ i.srp_identifier as owner, c.loopback_url as url from component c join instance i on i.name = c.name
     where c.kind = 'server' and c.stopped_at is null and c.lease_until > clock_timestamp()`;
  return new Map(rows.map(({ owner, url }) => [owner, new URL(url)]));
}

/** Plans with the rates of an installation, and starts with rates that hold nothing back. */
async function planInto(domain: RunningDomain, to: BuiltArchive, share: number): Promise<PlanFigures> {
  const options = {
    ...{ canariesPerInstance: 1, soakSeconds: 0, waveDeadlineSeconds: limitMs.wave / 1000, gate },
    wavePercentages: share === 1 ? [100] : [share * 100, 100],
  };
  await setBudget(domain, usualRates);
  const memory: number[] = [];
  const timed = async <Answer>(ask: () => Promise<Answer>): Promise<[Answer, number]> => {
    const began = performance.now();
    const looks = setInterval(() => void memoryOf(domain, 'administration').then((mb) => memory.push(mb)), 200);
    try {
      return [await ask(), Math.round(performance.now() - began)];
    } finally {
      clearInterval(looks);
    }
  };
  const cpu = await readProcessCpu(domain.home);
  const [planned, planMs] = await timed(() =>
    domain.api.call(upgradeOperations.plan, { body: { archive: to.file, ...options } }),
  );
  const planCpuUs = cpuPerRequest(cpu, await readProcessCpu(domain.home), 1);
  await setBudget(domain, { ...usualSlots, suspectAfterSeconds: 60 } satisfies Budget);
  const [, startMs] = await timed(() => domain.api.call(upgradeOperations.start, { body: { overrides: ['backup'] } }));
  const minutes = planned.plan.sends.leastMinutes;
  return { minutes, planMs, startMs, administrationMb: Math.max(0, ...memory), planCpuUs };
}

async function readPhases(domain: RunningDomain): Promise<Record<string, number>> {
  const { phases } = await domain.api.call(upgradeOperations.report, {});
  return Object.fromEntries(phases.map(({ state, seconds }) => [state, rounded(seconds)]));
}

interface Measuring {
  counter: StatementCounter;
  devices: PromptDevices;
  seconds: number;
  say: (text: string) => void;
}

async function measureWaves(
  domain: RunningDomain,
  { counter, devices, seconds, say }: Measuring,
): Promise<Pick<UpgradeFigures, 'lifted' | 'paced' | 'answers' | 'coordinatorMb' | 'contacts'>> {
  const memory: number[] = [];
  const lifted = await measureLifted(domain, counter, memory);
  say(`  ${describeLifted(lifted)}`);
  const perMinute = Math.max(60, Math.round(lifted.effectsPerSecond / 2) * 60);
  const [third] = await domain.sql`select /* bench */ 1 from upgrade_wave where number = 3`;
  const paced = third === undefined ? undefined : await measurePaced(domain, counter, { perMinute, seconds, memory });
  const answers = third === undefined ? undefined : await askAsOperator(domain);
  const at = (share: number) => memory[Math.min(memory.length - 1, Math.floor(share * memory.length))] ?? 0;
  const coordinatorMb = { start: at(0), middle: at(0.5), end: at(1), most: Math.max(...memory) };
  return { lifted, paced, answers, coordinatorMb, contacts: devices.counts() };
}

/**
 * Gates judge what routers measure, and nothing of these devices comes through one: each is undecided at once, and accepted.
 * @throws Error when the upgrade pauses for another reason
 */
async function untilWave(domain: RunningDomain, number: number): Promise<void> {
  let why: string | null = null;
  await until(`wave ${number} has begun`, limitMs.wave, async () => {
    const [row] = await domain.sql<{ begun: boolean; why: string | null }[]>`
      select /* bench */ exists (select from upgrade_wave where number = ${number} and started_at is not null) as begun,
             (select pause_reason from upgrade where state = 'paused') as why`;
    why = row?.why ?? null;
    if (why === null) return row?.begun === true;
    if (!/^the gate of wave .* undecided: needs /.test(why) || why.includes('failed')) return true;
    await domain.api.call(upgradeOperations.resume, { body: { acceptGate: true } });
    why = null;
    return false;
  });
  if (why !== null) throw new Error(`the upgrade paused: ${String(why)}`);
}

async function measureLifted(
  domain: RunningDomain,
  counter: StatementCounter,
  memory: number[],
): Promise<LiftedFigures> {
  const [uses, cpu, own] = [await counter.read(), await readProcessCpu(domain.home), process.cpuUsage()];
  const slots: number[] = [];
  for (let open = true; open; ) {
    const look = await lookAtWave(domain, 2);
    memory.push(await memoryOf(domain, 'coordinator'));
    open = look.unsettled > 0;
    if (look.unmoved > 0) slots.push(look.slotsTaken / usualSlots.perDomain);
    if (open) await delay(lookMs);
  }
  const devicesUs = ({ user, system }: NodeJS.CpuUsage) => user + system;
  const cpuAfter = await readProcessCpu(domain.home);
  const used = usesBetween(uses, await counter.read());
  const { accounts, effects, seconds } = await readWave(domain, 2);
  const perAccount = (count: number) => Math.round((count / accounts) * 100) / 100;
  return {
    ...{ accounts, effects, seconds },
    accountsPerSecond: rounded(accounts / seconds),
    effectsPerSecond: rounded(effects / seconds),
    slotsUsed: rounded(slots.reduce((sum, share) => sum + share, 0) / Math.max(1, slots.length)),
    statementsPerAccount: perAccount(sumOf(used, 'calls')),
    pagesPerAccount: perAccount(sumOf(used, 'blocks')),
    mostFrequent: dearest(used, 'calls', accounts),
    longest: dearest(used, 'ms', accounts),
    cpuUs: {
      ...cpuPerRequest(cpu, cpuAfter, accounts),
      devices: Math.round(devicesUs(process.cpuUsage(own)) / accounts),
    },
  };
}

async function measurePaced(
  domain: RunningDomain,
  counter: StatementCounter,
  { perMinute, seconds, memory }: { perMinute: number; seconds: number; memory: number[] },
): Promise<PacedFigures> {
  await setBudget(domain, { perMinuteDomain: perMinute, perMinuteInstance: perMinute });
  await untilWave(domain, 3);
  await delay(settlingMs);
  const [uses, cpu, startMs] = [await counter.read(), await readProcessCpu(domain.home), performance.now()];
  const [begin] = await domain.sql<{ at: Date }[]>`select /* bench */ clock_timestamp() as at`;
  for (let left = 1; left > 0 && performance.now() - startMs < seconds * 1000; ) {
    await delay(lookMs);
    memory.push(await memoryOf(domain, 'coordinator'));
    left = (await lookAtWave(domain, 3)).unmoved;
  }
  // Now, or when the last account moved.
  const [end] = await domain.sql<{ at: Date; seconds: number }[]>`
    select /* bench */ l.at, extract(epoch from l.at - ${begin?.at ?? null})::float8 as seconds
      from (select least(now(), case when count(*) = count(m.committed_at) then max(m.committed_at) end) as at
              from account_move m join move_batch b on b.id = m.batch_id where b.wave_number = 3) l`;
  const [cpuAfter, used] = [await readProcessCpu(domain.home), usesBetween(uses, await counter.read())];
  const [row] = await domain.sql<{ effects: number }[]>`
    select /* bench */ count(*)::int as effects from delivery
     where cause = 'move' and state = 'done' and settled_at between ${begin?.at ?? null} and ${end?.at ?? null}`;
  const [effects, lasted] = [row?.effects ?? 0, end?.seconds ?? 1];
  return {
    ...{ perMinute, seconds: rounded(lasted), effects, share: rounded(effects / ((perMinute / 60) * lasted), 3) },
    statementMs: rounded(sumOf(used, 'ms') / Math.max(1, effects)),
    pages: Math.round(sumOf(used, 'blocks') / Math.max(1, effects)),
    longest: dearest(used, 'ms', effects),
    cpuUs: cpuPerRequest(cpu, cpuAfter, effects),
  };
}

/** Accounts of a wave that have not moved, that have not settled, and the slots of the domain that are taken. */
async function lookAtWave(
  domain: RunningDomain,
  wave: number,
): Promise<{ unmoved: number; unsettled: number; slotsTaken: number }> {
  const [row] = await domain.sql<{ unmoved: number; unsettled: number; slotsTaken: number; why: string | null }[]>`
    select /* bench */ count(*) filter (where m.committed_at is null)::int as unmoved,
           count(*) filter (where m.settled_at is null)::int as unsettled,
           (select count(*)::int from delivery_permit where scope = 'domain' and delivery_id is not null) as "slotsTaken",
           (select pause_reason from upgrade where state = 'paused') as why
      from account_move m join move_batch b on b.id = m.batch_id where b.wave_number = ${wave}`;
  // At the gate, where everything has settled, it pauses.
  if (row === undefined || (row.why !== null && row.unsettled > 0)) throw new Error(`the upgrade paused: ${row?.why}`);
  return row;
}

/** Of the whole wave, from its first move to its last answer. */
async function readWave(
  domain: RunningDomain,
  wave: number,
): Promise<{ accounts: number; effects: number; seconds: number }> {
  const [row] = await domain.sql<{ accounts: number; effects: number; seconds: number }[]>`
    select /* bench */ count(distinct m.id)::int as accounts, count(*) filter (where d.state = 'done')::int as effects,
           extract(epoch from max(d.settled_at) - min(m.committed_at))::float8 as seconds
      from account_move m join move_batch b on b.id = m.batch_id join delivery d on d.move_id = m.id
     where b.wave_number = ${wave}`;
  if (row === undefined) throw new Error('nothing has moved');
  return { ...row, seconds: rounded(row.seconds) };
}

async function memoryOf(domain: RunningDomain, process: 'coordinator' | 'administration'): Promise<number> {
  return (await readMemory(domain.home)).find(({ what }) => what === process)?.residentMb ?? 0;
}

function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}

function describeLifted(lifted: LiftedFigures): string {
  return (
    `${lifted.accounts} accounts in ${lifted.seconds} s: ${lifted.effectsPerSecond} acknowledged effects/s, ` +
    `${lifted.accountsPerSecond} accounts/s, ${Math.round(lifted.slotsUsed * 100)} % of the slots, ` +
    `${lifted.statementsPerAccount} statements and ${lifted.pagesPerAccount} pages for an account`
  );
}

export function describeUpgrade(figures: readonly UpgradeFigures[]): string {
  return figures
    .map(({ step, accounts, devices, plan, phases, lifted, paced, answers, coordinatorMb, contacts }) =>
      [
        `Upgrade ${step}: ${accounts} accounts, ${devices} devices; at the usual rates ${plan.minutes} min, the plan says`,
        `  planned in ${plan.planMs} ms, started in ${plan.startMs}; the administration service took ${plan.administrationMb} MB at the most; ` +
          `processor time of planning, µs: ${describeCpu(plan.planCpuUs)}`,
        `  seconds until the first wave: ${JSON.stringify(phases)}`,
        `  lifted rates  ${describeLifted(lifted)}`,
        ...(paced === undefined
          ? []
          : [
              `  paced         ${rounded(paced.share * 100, 1)} % of ${paced.perMinute} a minute used over ${paced.seconds} s (goal: 95), ` +
                `${paced.statementMs} ms of statements and ${paced.pages} pages for an effect; ${describeCpu(paced.cpuUs)}`,
            ]),
        ...(answers === undefined ? [] : [`  answers in ms: ${describeAnswers(answers)}`]),
        `  coordinator   ${coordinatorMb.start} MB, ${coordinatorMb.middle}, ${coordinatorMb.end}; ${coordinatorMb.most} at the most`,
        `  processor time for an account, µs: ${describeCpu(lifted.cpuUs)}`,
        `  the devices: ${JSON.stringify(contacts)}`,
      ].join('\n'),
    )
    .join('\n');
}

function describeCpu(cpuUs: Readonly<Record<string, number>>): string {
  return Object.entries(cpuUs)
    .map(([kind, us]) => `${kind} ${us}`)
    .join(', ');
}
