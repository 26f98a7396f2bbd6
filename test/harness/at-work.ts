/** What most system tests start from: a domain with a fleet at work, on one host or over two. */
import { join } from 'node:path';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { until } from '../../src/testing/condition.ts';
import { workingTreeArchive } from './archives.ts';
import { type DomainOptions, type RunningDomain, startDomain } from './domain.ts';
import type { FleetOptions, RunningFleet } from './fleet.ts';
import { type FurtherHost, joinFurtherHost, makeRoles } from './further-host.ts';
import type { HostNetwork } from './host-network.ts';
import { configureDomain, enrolFleet } from './preparation.ts';

export interface AtWork {
  domain: RunningDomain;
  fleet: RunningFleet;
  stop(): Promise<void>;
}

export interface OverTwoHosts extends AtWork {
  berlin: FurtherHost;
}

interface AtWorkOptions extends Omit<DomainOptions, 'archive'> {
  fleet: Omit<FleetOptions, 'journal'>;
  budget?: Parameters<typeof enrolFleet>[2];
  /** Where tunnels lead; default: where nobody listens. */
  internalTarget?: string;
  /** Once everybody is there, before the fleet enrols. */
  prepare?: (domain: RunningDomain) => Promise<void>;
}

interface OverTwoHostsOptions extends AtWorkOptions {
  externalDatabase: { url: string; outside: string };
  network?: HostNetwork;
  /** Of its invitation. */
  flags?: readonly string[];
}

/** For a domain that others join. Call it at the top of a test file. */
export async function emptyDatabase(): Promise<{ url: string; outside: string }> {
  const { url } = await createTestDatabase({ templateKey: 'empty', prepareTemplate: async () => undefined });
  return { url, outside: url };
}

/** A domain of the working tree; its devices have acknowledged everything that they were owed. */
export async function startAtWork(options: AtWorkOptions): Promise<AtWork> {
  const undo = createUndo();
  return await undo.ifFailing(async () => {
    const domain = await startWorkingTree(options);
    undo.push(() => domain.stop());
    return await putToWork(domain, options, undo);
  });
}

/** The same with a second host, `berlin`; each kind of process has a database role of its own. */
export async function startOverTwoHosts(options: OverTwoHostsOptions): Promise<OverTwoHosts> {
  const { network, flags = [] } = options;
  const undo = createUndo();
  return await undo.ifFailing(async () => {
    const domain = await startWorkingTree({ instances: 1, ...options, beforeStart: rolesBefore(options) });
    undo.push(() => domain.stop());
    const berlin = await joinFurtherHost(domain, 'berlin', { flags, ...(network && { network }) });
    undo.push(() => berlin.stop());
    return { berlin, ...(await putToWork(domain, options, undo)) };
  });
}

/** Linked to a router, each of them. */
export async function untilLinked(domain: RunningDomain, ...names: string[]): Promise<void> {
  await until(`${names.join(' and ')} are linked`, 90_000, async () => {
    const rows = await domain.sql`
      select 1 from component where name = any(${names}) and stopped_at is null and lease_until > clock_timestamp()
         and (detail->'links'->0->>'up')::boolean`;
    return rows.length === names.length;
  });
}

function rolesBefore({ beforeStart }: AtWorkOptions): NonNullable<DomainOptions['beforeStart']> {
  return async (created) => {
    await makeRoles(created);
    await beforeStart?.(created);
  };
}

async function startWorkingTree({ fleet: _, ...options }: AtWorkOptions): Promise<RunningDomain> {
  return await startDomain({ ...options, archive: (await workingTreeArchive()).file });
}

async function putToWork(domain: RunningDomain, options: AtWorkOptions, undo: Undo): Promise<AtWork> {
  await options.prepare?.(domain);
  await configureDomain(domain, options.internalTarget ?? '127.0.0.1:9');
  const journal = join(domain.home, 'journal.ndjson');
  const fleet = await enrolFleet(domain, { ...options.fleet, journal }, options.budget);
  undo.push(() => fleet.stop());
  return { domain, fleet, stop: undo.run };
}

type Undo = ReturnType<typeof createUndo>;

/** Stops what was started, the last first, each whatever became of the others. */
function createUndo() {
  const steps: (() => Promise<unknown>)[] = [];
  async function run(): Promise<void> {
    const step = steps.pop();
    if (step === undefined) return;
    try {
      await step();
    } finally {
      await run();
    }
  }
  return {
    push: (step: () => Promise<unknown>) => void steps.push(step),
    run,
    async ifFailing<T>(work: () => Promise<T>): Promise<T> {
      try {
        return await work();
      } catch (error) {
        await run();
        throw error;
      }
    },
  };
}
