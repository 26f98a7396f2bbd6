/**
 * A domain in a test database: two instances and an account, and a mover that can be held in mid-transaction.
 * Only tests import it.
 */

import { createAccount } from '../accounts/accounts.ts';
import type { AccountId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import { type Database, openDatabase, type Queryable } from '../database/connection.ts';
import { untilOneWaits, watched } from '../database/waiting-fixture.ts';
import type { Authorities, InstanceAuthorities } from '../domain/authorities.ts';
import { generateAuthorities } from '../domain/authority-creation.ts';
import { createInstance } from '../instances/instances.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { until } from '../testing/condition.ts';
import { listInstancesOnTrial } from '../upgrade/state/upgrade-store.ts';
import { createActivation } from './activation.ts';
import { setActivationPassword } from './activation-password.ts';

export const testDomain = {
  domainId: '6f2c1a52-6c0f-4c0e-9a2e-0b8a4f6f8a11',
  name: 'Example',
  publicUrl: 'https://mdm.example.org:8443',
  wakeChannel: 'com.apple.mgmt.External.example',
};

export interface TestInstance {
  readonly id: InstanceId;
  readonly srpIdentifier: SrpIdentifier;
}

export interface ActivationFixture {
  readonly db: Database;
  readonly authorities: Authorities & InstanceAuthorities;
  /** What is served from now on is with these. */
  setAuthorities(authorities: InstanceAuthorities): void;
  readonly here: TestInstance;
  readonly there: TestInstance;
  /** A fresh account of `here`, with an activation password. */
  account(): Promise<{ id: AccountId; name: string; password: string }>;
  /** A fresh account with a device that was offered an enrolment. */
  offeredDevice(): Promise<{ accountId: AccountId; token: string; challenge: string; deviceId: string }>;
  /**
   * Moves the account to `there` in a transaction that commits once a statement waits for it (or once everything is
   * written without waiting, which the fence must not allow).
   * @returns the result of `write`
   */
  moveUnder<Result>(accountId: AccountId, write: () => Promise<Result>): Promise<Result>;
  /** Sets the mover's mark. */
  mark(accountId: AccountId): Promise<void>;
  /** Kinds of the events about a subject, oldest first; waits for the first one. */
  eventsOf(subject: string): Promise<string[]>;
  close(): Promise<void>;
}

export async function createActivationFixture(url: string): Promise<ActivationFixture> {
  const db = openDatabase(url, { applicationName: 'bramble/test', max: 30 });
  const mover = openDatabase(url, { applicationName: 'bramble/mover', max: 1 });
  let authorities = await generateAuthorities(testDomain);
  const instance = async (name: string): Promise<TestInstance> => {
    const created = await db.begin((tx) => createInstance(tx, { name }));
    if (created.kind !== 'created') throw new Error(created.kind);
    return created;
  };
  const here = await instance('here');
  const there = await instance('there');
  let count = 0;

  const fixture: ActivationFixture = {
    db,
    get authorities() {
      return authorities;
    },
    setAuthorities(present) {
      authorities = { ...authorities, ...present };
    },
    here,
    there,
    async account() {
      count += 1;
      const name = `user-${count}`;
      return await db.begin(async (tx) => {
        const created = await createAccount(tx, { name, instance: 'here' }, listInstancesOnTrial);
        const issued = await setActivationPassword(tx, name);
        if (created.kind !== 'created' || issued === 'not-found') throw new Error('no account');
        return { id: created.account.id, name, password: issued.password };
      });
    },
    async offeredDevice() {
      const { id, name, password } = await fixture.account();
      const activation = createActivation({
        ...{ db, instanceId: here.id, platforms: registeredPlatforms, isFeatureActive: async () => true },
        domain: async () => testDomain,
        authorities: async () => authorities,
      });
      const outcome = await activation.activate({ accountName: name, password, platform: 'apple', signed: false });
      if (outcome.kind !== 'offer') throw new Error(outcome.kind);
      const [row] = await db<{ token: string; challenge: string }[]>`
        select token, scep_challenge as challenge from device where id = ${outcome.deviceId}`;
      if (row === undefined) throw new Error('no device');
      return { accountId: id, deviceId: outcome.deviceId, ...row };
    },
    async moveUnder(accountId, write) {
      const [, result] = await mover.begin(async (tx) => {
        await tx`update account set instance_id = ${there.id}, epoch = epoch + 1 where id = ${accountId}`;
        const { result: written, settled } = watched(write());
        await untilOneWaits(db, settled);
        return [true, { written }] as const;
      });
      return await result.written;
    },
    async mark(accountId) {
      await db`
        insert into account_mark (account_id, move_id, until)
        values (${accountId}, gen_random_uuid(), clock_timestamp() + interval '1 hour')`;
    },
    async eventsOf(subject) {
      let kinds: string[] = [];
      await until(`there is an event of ${subject}`, 60_000, async () => {
        const rows = await db<{ kind: string }[]>`select kind from event where subject = ${subject} order by id`;
        kinds = rows.map(({ kind }) => kind);
        return kinds.length > 0;
      });
      return kinds;
    },
    async close() {
      await Promise.all([db.end(), mover.end()]);
    },
  };
  return fixture;
}

/** The remaining state of the account's current password. */
export async function activationPasswordState(
  q: Queryable,
  accountName: string,
): Promise<{ expiresAt: Date; triesLeft: number } | undefined> {
  const [row] = await q<{ expiresAt: Date; triesLeft: number }[]>`
    select p.expires_at as "expiresAt", p.tries_left as "triesLeft"
    from activation_password p join account a on a.id = p.account_id
    where a.name = ${accountName}`;
  return row;
}
