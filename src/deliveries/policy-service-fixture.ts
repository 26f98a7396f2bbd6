/**
 * What the tests of the policy service share: a domain of two instances, a service whose chores are all due at every turn, and
 * devices that connect through the real connect statement.
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { budgetSchema } from '../api/budget.ts';
import { systemClock } from '../base/clock.ts';
import type { CommandId, InstanceId } from '../base/ids.ts';
import type { ConnectRequest } from '../devices/connect-request.ts';
import { connectDevices } from '../devices/connect-statement.ts';
import { writeSetting } from '../domain/settings.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import type { WakeAddress, WakeClient, WakeOutcome } from '../platforms/waking.ts';
import { addInstance, domain, openFleet, type TestDevice } from '../policies/fleet-fixture.ts';
import { findPolicy, replacePolicyRules } from '../policies/policy-store.ts';
import { silentLogger } from '../process/log/logger.ts';
import { parseCommand } from '../protocol/apple/command.ts';
import { writeBudget } from './budget.ts';
import { createPolicyService } from './policy-service.ts';

const fleet = await openFleet();
after(() => fleet.close());
export const { db } = fleet;
export const one = await addInstance(db, 1);
export const two = await addInstance(db, 2);
const defaultRules = (await findPolicy(db, 'Default'))?.rules ?? {};

/** Back to the initial instances and policies. */
export async function reset(): Promise<void> {
  await db`truncate account, delivery_permit, send_rate, delivery_hold, setting, service, event cascade`;
  await replacePolicyRules(db, 'Default', defaultRules);
}

/** One client for the devices of all platforms. */
export function wakeClients<Client extends Pick<WakeClient, 'wake' | 'pausedForMs'>>(client: Client) {
  return new Map(registeredPlatforms.all.map(({ name }) => [name, client]));
}

/** A policy service whose chores are all due at every turn, over a push service that notes whom it wakes. */
export async function startService(
  options: {
    budget?: object;
    delivery?: object;
    instance?: typeof one;
    /** Default: 1.0.0. */
    release?: string;
    outcome?: (address: WakeAddress) => WakeOutcome;
    pausedForMs?: () => number;
    /** How long a statement takes by the injected clock; 0 ms by default. */
    takesMs?: (statement: string) => number;
  } = {},
) {
  const budget = budgetSchema.parse(options.budget ?? {});
  await db.begin(async (tx) => await writeBudget(tx, budget, [one.id, two.id]));
  await writeSetting(db, 'delivery', { afterMoveSeconds: 0, afterMoveAtMostSeconds: 0, ...options.delivery });
  const woken: string[] = [];
  const clock = { ...systemClock, time: 1_000_000, now: () => clock.time };
  const slowDb = new Proxy(db, {
    apply: (target, self, parameters: unknown[]) => {
      clock.time += options.takesMs?.(String(parameters[0])) ?? 0;
      return Reflect.apply(target, self, parameters);
    },
  });
  const service = createPolicyService({
    db: slowDb,
    instance: options.instance ?? one,
    release: options.release ?? '1.0.0',
    domain,
    identityRenewal: { isActive: async () => false, orders: async () => new Map() },
    platforms: registeredPlatforms,
    wakeClients: wakeClients({
      pausedForMs: options.pausedForMs ?? (() => 0),
      wake: async (address) => {
        woken.push(address.secret);
        return options.outcome?.(address) ?? { outcome: 'sent' };
      },
    }),
    clock,
    log: silentLogger,
  });
  /** The rests of `count` turns, each of which passes by the clock; `during` happens in the first. */
  const restsOf = async (count: number, during: () => Promise<unknown>): Promise<number[]> => {
    const rests: number[] = [];
    const ending = new AbortController();
    clock.sleep = async (durationMs) => {
      rests.push(durationMs);
      // A notice comes at once, the others when the rest is over.
      if (rests.length === 1) await during();
      else clock.time += durationMs;
      if (rests.length === count) ending.abort();
    };
    await service.run(ending.signal);
    return rests;
  };
  return {
    woken,
    service,
    clock,
    restsOf,
    async tick() {
      clock.time += 3_600_000;
      await service.tick();
      await service.pushed();
      assert.equal(service.counts().failedSteps, 0);
    },
  };
}

export async function connect(
  device: TestDevice,
  status: ConnectRequest['status'] = 'idle',
  commandId: string | null = null,
  instance = one,
) {
  const [row] = await db<
    { fingerprint: string; enrolment: string | null }[]
  >`select identity_fingerprint as fingerprint, udid as enrolment from device where id = ${device.id}`;
  const [outcome] = await connectDevices(db, instance.id as InstanceId, [
    {
      token: device.token,
      fingerprint: row?.fingerprint ?? '',
      enrolment: row?.enrolment ?? '',
      overTls: true,
      status,
      commandId: commandId as CommandId | null,
      answer: null,
      inventory: null,
      options: null,
    },
  ]);
  assert.equal(outcome?.kind, 'served');
  return outcome.kind === 'served' && outcome.command ? parseCommand(outcome.command) : undefined;
}

/** Connects and acknowledges until the device is told nothing more; returns what it was told. */
export async function drain(device: TestDevice, instance = one) {
  const told = [];
  let command = await connect(device, 'idle', null, instance);
  while (command) {
    told.push(command);
    command = await connect(device, 'done', command.commandUuid, instance);
  }
  return told;
}

export async function states(): Promise<Record<string, number>> {
  const rows = await db<
    { state: string; count: number }[]
  >`select state, count(*)::int as count from delivery group by state`;
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

/** Rates that hold nothing back. */
export const fast = { perMinuteInstance: 60_000, perMinuteDomain: 60_000 };

export const move = { cause: 'move', budgeted: true } as const;
