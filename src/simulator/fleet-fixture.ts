/** For tests: a started fleet at a fixture server, whose journal can be waited for. */
import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { Command, CommandRequest } from '../protocol/apple/command.ts';
import { type Fleet, type FleetOptions, runFleet } from './fleet.ts';
import { deviceKinds, planDevice } from './fleet-plan.ts';
import type { JournalEntry } from './journal.ts';
import { type EnrolledDevice, type MdmServerFixture, startMdmServer, testPassword } from './mdm-server-fixture.ts';

type EntryOf<Event extends JournalEntry['event']> = JournalEntry & { event: Event };

interface TestFleet {
  readonly fleet: Fleet;
  readonly server: MdmServerFixture;
  readonly entries: JournalEntry[];
  /** Resolves with the first entry, past or coming, that fits. */
  until<Event extends JournalEntry['event']>(
    event: Event,
    fits?: (entry: EntryOf<Event>) => boolean,
  ): Promise<EntryOf<Event>>;
  /** Enrols a device of the kind at an account of its own, and resolves after its first contact. */
  enrol(kindName?: string): Promise<{ readonly name: string; readonly at: EnrolledDevice }>;
}

/** Devices contact the server when woken or told to only: their own schedule is far away. */
export async function startTestFleet(context: TestContext, options: Partial<FleetOptions> = {}): Promise<TestFleet> {
  const server = await startMdmServer();
  const entries: JournalEntry[] = [];
  const waiting = new Set<() => void>();
  const fleet = await runFleet({
    seed: 'test',
    publicUrl: server.url,
    caPem: server.caPem,
    keyPoolSize: 1,
    retry: { firstMs: 1, capMs: 5 },
    ...options,
    behaviour: {
      notNowProbability: 0,
      contactIntervalMs: 3_600_000,
      wakeJitterMs: 1,
      notNowForMs: 1,
      ...options.behaviour,
    },
    observe(entry) {
      entries.push(entry);
      for (const check of waiting) check();
    },
  });
  context.after(async () => {
    await fleet.stop();
    await server.close();
  });
  fleet.start();
  let enrolled = 0;
  const until: TestFleet['until'] = (event, fits = () => true) =>
    new Promise((resolve) => {
      const check = (): void => {
        const found = entries.find(
          (entry): entry is EntryOf<typeof event> => entry.event === event && fits(entry as EntryOf<typeof event>),
        );
        if (found === undefined) return;
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      check();
    });
  return {
    fleet,
    server,
    entries,
    until,
    async enrol(kindName = 'iphone-17.5') {
      enrolled += 1;
      const kind = deviceKinds.find(({ name }) => name === kindName);
      if (kind === undefined) throw new RangeError(`no kind of device is called ${kindName}`);
      const plan = planDevice('test', `device-${enrolled}`, kind);
      const result = await fleet.activate({ account: `user-${enrolled}`, password: testPassword, plan });
      const at = server.devices.at(-1);
      if (result.outcome !== 'enrolled' || at === undefined) throw new Error(`not enrolled: ${JSON.stringify(result)}`);
      await until('request', (entry) => entry.device === plan.name && entry.request === 'idle');
      return { name: plan.name, at };
    },
  };
}

/** A command with a fresh UUID. */
export function testCommand(request: CommandRequest): Command {
  return { ...request, commandUuid: randomUUID().toUpperCase() };
}
