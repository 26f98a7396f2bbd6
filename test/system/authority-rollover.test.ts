/**
 * What a domain's components trust is replaced while devices are at work: the route signer, and the domain authority. Processes are
 * killed in the middle, and no request fails, also of devices that know nothing but the former authority.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { accountOperations } from '../../src/api/accounts.ts';
import { type AuthorityList, authorityOperations } from '../../src/api/authorities.ts';
import { readRouteSigners } from '../../src/domain/route-signer-roll.ts';
import { normalSerial, revocationListShape, type TrustReport } from '../../src/link/messages.ts';
import { authorityFingerprint } from '../../src/link/trusted-authorities.ts';
import { summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { type AtWork, startAtWork } from '../harness/at-work.ts';
import type { RunningDomain } from '../harness/domain.ts';
import { assertNothingLost, failuresIn, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { killAndAwait } from '../harness/processes.ts';
import { commandJson } from '../harness/scene.ts';

describe('while devices are at work', { timeout: 600_000 }, () => {
  let at: AtWork;
  let domain: RunningDomain;
  let fleet: RunningFleet;

  before(async () => {
    at = await startAtWork({ fleet: { devices: 8, accounts: 8, seed: 'rollover', interval: '300ms' } });
    ({ domain, fleet } = at);
  });
  after(async () => await at?.stop());

  const authority = async (...args: string[]) => await commandJson<AuthorityList>(domain, 'authority', ...args);
  const signers = async () => await readRouteSigners(domain.sql as never);

  /** A device that no router has asked about yet: its route is signed now. */
  async function activateAnother(account: string): Promise<void> {
    await domain.api.call(accountOperations.create, { body: { name: account } });
    const { password } = await domain.api.call(accountOperations.setActivationPassword, {
      params: { name: account },
      body: {},
    });
    await fleet.tell({ do: 'activate', account, password });
  }

  async function nothingFailed(): Promise<void> {
    await untilServed(domain, fleet);
    const { journal } = await assertNothingLost(domain, fleet);
    const { sent } = summarizeRequests(journal);
    assert.ok(sent > 0);
    assert.deepEqual(failuresIn(journal), []);
  }

  test('routes are signed by a new route signer, and those of the former one are refused', async () => {
    const { present: first } = await signers();
    await authority('roll', 'route-signer', '--yes');
    await killAndAwait(domain, 'administration-1');
    await until('every instance signs by the new one', 60_000, async () => {
      const { routeSigner } = await domain.api.call(authorityOperations.list, {});
      return routeSigner?.waitsFor.length === 0;
    });
    await activateAnother('between');
    const { routeSigner } = await authority('retire', 'route-signer', '--yes');
    assert.equal(routeSigner, null);
    const { present: second } = await signers();
    assert.notEqual(second, first);
    const state = join(domain.home, 'router', 'router-1', 'state.json');
    await until('the router knows that the former one is revoked', 60_000, async () => {
      const { list } = JSON.parse(await readFile(state, 'utf8'));
      const { revoked } = revocationListShape.parse(JSON.parse(Buffer.from(list.payload, 'base64').toString()));
      return revoked.some(({ serial }) => serial === normalSerial(first ?? ''));
    });
    await activateAnother('after');
    await nothingFailed();
  });

  const isReady = (state: string) => async () => {
    const { domain: rollover } = await domain.api.call(authorityOperations.list, {});
    return rollover?.state === state && rollover.waitsFor.length === 0;
  };
  /** Fingerprint of the authority that issues. */
  async function issuing(): Promise<string> {
    const [row] = await domain.sql<{ certificate: Buffer }[]>`select certificate from authority where name = 'domain'`;
    return authorityFingerprint(row?.certificate ?? Buffer.of());
  }
  /** What each component reports. */
  async function reports(): Promise<TrustReport[]> {
    const rows = await domain.sql<{ authorities: TrustReport }[]>`
      select detail->'authorities' as authorities from component where kind in ('router', 'server', 'connection')`;
    return rows.map(({ authorities }) => authorities);
  }

  test('the domain authority is replaced: first both are trusted, then the new one issues, then the former goes', async () => {
    const former = await issuing();
    await authority('roll', 'domain', '--yes');
    await killAndAwait(domain, 'administration-1');
    await until('everybody trusts the new one', 120_000, isReady('begun'));
    await authority('switch', 'domain', '--yes');
    await killAndAwait(domain, 'administration-1');
    const issues = await issuing();
    assert.notEqual(issues, former);
    await activateAnother('trusting-both');
    await until('everybody works with the new one', 300_000, isReady('switched'));
    await authority('retire', 'domain', '--yes');
    await until('nobody trusts the former one', 120_000, async () =>
      (await reports()).every(({ trusts, credentialBy }) => trusts.join() === issues && credentialBy === issues),
    );
    await activateAnother('trusting-the-new-one');
    await nothingFailed();
    const { list, statements } = JSON.parse(
      await readFile(join(domain.home, 'router', 'router-1', 'state.json'), 'utf8'),
    );
    assert.ok(list !== null && statements.length === 3);
  });

  test('afterwards everything starts again, and devices that know only the former authority are served', async () => {
    await killAndAwait(domain, 'router-1');
    for (const name of ['server-1', 'server-2', 'connection-1']) await killAndAwait(domain, name);
    await untilServed(domain, fleet);
    await assertNothingLost(domain, fleet);
  });
});
