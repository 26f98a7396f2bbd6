/**
 * For tests only: devices whose identities are renewed over the real protocol. The policy service owes and sends the
 * profile, SCEP issues, and the device handler accepts both identities until the new one is used.
 */
import assert from 'node:assert/strict';
import { testDomain } from '../../activation/activation-fixture.ts';
import { createRenewalOrders } from '../../activation/renewal-orders.ts';
import { budgetSchema } from '../../api/budget.ts';
import { systemClock } from '../../base/clock.ts';
import type { Database } from '../../database/connection.ts';
import { writeBudget } from '../../deliveries/budget.ts';
import { createPolicyService } from '../../deliveries/policy-service.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { seedPolicies } from '../../policies/preconfigured-policies.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { parseCommand } from '../../protocol/apple/command.ts';
import { parseEnrollmentProfile } from '../../protocol/apple/enrollment-profile.ts';
import { askForIdentity, createDeviceHandlerFixture, type Reply, type TestDevice } from './device-handler-fixture.ts';

export async function createRenewalFixture() {
  const stage = await createDeviceHandlerFixture();
  const { db, here } = stage.fixture;
  let isDomainReadable = true;
  const orders = createRenewalOrders({
    platforms: registeredPlatforms,
    instanceId: here.id,
    domain: async () => {
      if (!isDomainReadable) throw new Error('the domain cannot be read');
      return testDomain;
    },
    authorities: async () => stage.fixture.authorities,
  });
  await seedPolicies(db);
  await db.begin((tx) =>
    writeBudget(tx, budgetSchema.parse({ perMinuteInstance: 6000, perMinuteDomain: 6000 }), [here.id]),
  );
  const clock = { ...systemClock, time: Date.now(), now: () => clock.time };
  const service = createPolicyService({
    db,
    instance: { ...here, name: 'here' },
    release: '1.2.0',
    domain: { ...testDomain, tunnelHost: 'tunnel.example.org' },
    wakeClients: new Map(),
    identityRenewal: { isActive: async () => true, orders },
    platforms: registeredPlatforms,
    clock,
    log: silentLogger,
  });
  const ask = (path: string, init: RequestInit) => stage.ask(path, init);

  /** An hour later, the policy service has done what is due. */
  async function turn(): Promise<void> {
    clock.time += 3_600_000;
    // What is owed in one turn is released in the next.
    for (let turns = 0; turns < 2; turns += 1) await service.tick();
    await service.pushed();
    assert.equal(service.counts().failedSteps, 0);
  }

  const rows = renewalRows(db);

  return {
    stage,
    ask,
    orders,
    turn,
    ...rows,
    setDomainReadable(readable: boolean): void {
      isDomainReadable = readable;
    },

    /** A device whose identity is that old, with the renewal that it was handed. */
    async renewing(days = 300) {
      const device = await stage.activeDevice(true);
      await turn();
      await rows.ageIdentity(device, days);
      await turn();
      const renewal = await renewalFor(device);
      assert.ok(renewal);
      return { device, ...renewal };
    },

    /** SCEP under a renewal of the device: refused, and nothing accepted beside its present identity. */
    async refusedByScep(device: TestDevice, facts: TestDevice['facts']): Promise<void> {
      const { rep } = await askForIdentity(facts, ask);
      assert.deepEqual(rep, { status: 'failure', failInfo: 'badRequest' });
      assert.ok(served(await device.connect({ status: 'Idle' })));
    },
  };
}

/** What the database has of renewals, and how time passes for it. */
function renewalRows(db: Database) {
  return {
    /** As if so many days had passed since the identity was issued. */
    async ageIdentity(device: TestDevice, days: number): Promise<void> {
      await db`
        update device set identity_issued_at = identity_issued_at - make_interval(days => ${days}),
               identity_expires_at = identity_expires_at - make_interval(days => ${days})
         where id = ${await device.deviceId()}`;
    },

    /** State and cause of the device's renewals, the oldest first. */
    async deliveries(device: TestDevice): Promise<string[]> {
      const rows = await db<{ state: string; cause: string }[]>`
        select state, cause from delivery where device_id = ${await device.deviceId()} and item = 'device-identity'
         order by owed_at`;
      return rows.map(({ state, cause }) => `${state} ${cause}`);
    },

    /** As if the newest try had ended so long ago. */
    async endedAgo(device: TestDevice, minutes: number): Promise<void> {
      await db`
        update delivery set settled_at = settled_at - make_interval(mins => ${minutes})
         where item = 'device-identity' and device_id = ${await device.deviceId()}`;
    },

    async rowOf(device: TestDevice) {
      const [row] = await db<
        { state: string; daysLeft: number; token: Buffer | null; queued: number; bootstrap: boolean }[]
      >`
        select d.state, extract(day from d.identity_expires_at - now())::int as "daysLeft", d.push_token as token,
               d.bootstrap_token is not null as bootstrap,
               (select count(*)::int from command c
                 where c.device_id = d.id and c.state in ('queued', 'sent', 'not-now')) as queued
          from device d where d.id = ${await device.deviceId()}`;
      assert.ok(row);
      return row;
    },
  };
}

type Connected = Pick<TestDevice, 'connect'>;

export const served = ({ status }: Reply) => status === 200;

/** Answers everything until the command of the type comes; undefined where it does not. */
export async function commandOf(device: Connected, isWanted: (fields: ReturnType<typeof parseCommand>) => boolean) {
  let reply = await device.connect({ status: 'Idle' });
  for (;;) {
    assert.equal(reply.status, 200);
    if (reply.body.length === 0) return undefined;
    const command = parseCommand(reply.body);
    if (isWanted(command)) return command;
    reply = await device.connect({ status: 'Acknowledged', commandUuid: command.commandUuid });
  }
}

/** The renewal that the device is handed: its command, and the enrolment profile in it. */
export async function renewalFor(device: Connected) {
  const command = await commandOf(device, ({ fields }) => enrolmentIn(fields['Payload']) !== undefined);
  if (command === undefined) return undefined;
  const facts = enrolmentIn(command.fields['Payload']);
  assert.ok(facts);
  return { commandUuid: command.commandUuid, facts };
}

function enrolmentIn(payload: unknown) {
  try {
    return payload instanceof Uint8Array ? parseEnrollmentProfile(payload) : undefined;
  } catch {
    return undefined;
  }
}
