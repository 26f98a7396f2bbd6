/**
 * What a domain's components trust is replaced while devices are at work: the route signer by a new one. Processes are killed in the
 * middle, and no request fails.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { accountOperations } from '../../src/api/accounts.ts';
import { type AuthorityList, authorityOperations } from '../../src/api/authorities.ts';
import { readRouteSigners } from '../../src/domain/route-signer-roll.ts';
import { normalSerial, revocationListShape } from '../../src/link/messages.ts';
import { summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { configureDomain, enrolFleet } from '../harness/preparation.ts';
import { killAndAwait } from '../harness/processes.ts';
import { commandJson } from '../harness/scene.ts';

describe('while devices are at work', { timeout: 600_000 }, () => {
  let domain: RunningDomain;
  let fleet: RunningFleet;

  before(async () => {
    const { file } = await workingTreeArchive();
    domain = await startDomain({ archive: file, instances: 2 });
    await configureDomain(domain, '127.0.0.1:9');
    const journal = join(domain.home, 'journal.ndjson');
    fleet = await enrolFleet(domain, { devices: 8, accounts: 8, seed: 'rollover', interval: '300ms', journal });
  });
  after(async () => {
    await fleet?.stop();
    await domain?.stop();
  });

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
    const { sent, failed, failedByClass } = summarizeRequests(journal);
    assert.ok(sent > 0);
    assert.deepEqual([failed, failedByClass], [0, {}]);
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
});
