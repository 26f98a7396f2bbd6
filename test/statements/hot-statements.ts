/**
 * Every statement of the hot paths: what a request of a device, a move, a turn of the policy service, a wave and its gate
 * execute, and what the most frequent questions of operators do; and how much each may read however large the domain is.
 *
 * Invariant: none is forgotten. Whatever a module of {@link hotModules} exports is here, or among those that are {@link seldom}
 * executed (statement-plans.test.ts compares).
 */
import { newId } from '../../src/base/ids.ts';
import type { Queryable } from '../../src/database/connection.ts';
import * as oweStore from '../../src/deliveries/owe-deliveries.ts';
import * as renewals from '../../src/deliveries/owe-renewals.ts';
import * as permits from '../../src/deliveries/permits.ts';
import * as releaseStore from '../../src/deliveries/release-store.ts';
import * as situation from '../../src/deliveries/situation.ts';
import * as suspects from '../../src/deliveries/suspects.ts';
import * as upkeep from '../../src/deliveries/upkeep.ts';
import * as waitingReason from '../../src/deliveries/waiting-reason.ts';
import * as wakeStore from '../../src/deliveries/wake-store.ts';
import * as connectStatement from '../../src/devices/connect-statement.ts';
import * as earlierRelease from '../../src/devices/earlier-release.ts';
import { countIdentities } from '../../src/devices/renewal-report.ts';
import * as routeStore from '../../src/devices/route-store.ts';
import { identitySettingsSchema } from '../../src/domain/identity-settings.ts';
import { listInstances } from '../../src/instances/instances.ts';
import * as outcomeStore from '../../src/measurements/outcome-store.ts';
import * as requestSamples from '../../src/measurements/request-samples.ts';
import * as batchStore from '../../src/moves/batch-store.ts';
import { cancelUpgradeMovesTo, countMovedAccounts, stopMovesTo } from '../../src/moves/move-reports.ts';
import * as moveStore from '../../src/moves/move-store.ts';
import { registeredPlatforms } from '../../src/platforms/registered/platforms.ts';
import * as effectivePolicies from '../../src/policies/effective-policy-store.ts';
import { successorServes } from '../../src/registry/successor.ts';
import * as gateSamples from '../../src/upgrade/gates/gate-samples.ts';
import { readEffects } from '../../src/upgrade/operations/effects.ts';
import { sendAgain } from '../../src/upgrade/operations/send-again.ts';
import type { NewInstance } from '../../src/upgrade/state/upgrade-plan.ts';
import { readDestinations } from '../../src/upgrade/state/upgrade-store.ts';
import * as waveAccounts from '../../src/upgrade/state/wave-accounts.ts';
import * as waveStore from '../../src/upgrade/state/wave-store.ts';
import { insertTestProcess } from '../../src/upgrade/steps/domain-fixture.ts';
import * as homewardMoves from '../../src/upgrade/steps/homeward-moves.ts';
import * as latecomers from '../../src/upgrade/waves/latecomers.ts';
import type { HotStatement, Q, Subjects } from './hot-statement.ts';
import { listModules, listParts, listStatements } from './list-statements.ts';

/** Of those that must do with a few rows for each of their subjects (48 devices of a batch, 100 deliveries). */
const few = 2_000;
/** As a process that can be replaced asks. */
const isReplaced = (q: Queryable) => successorServes(q, { name: 'server-1', bootId: 'boot', processId: 1 });
const gateScope = { since: 'settled', baselineHours: 24, warmUpSeconds: 60, replacements: null } as const;
const formerIssuer = { name: Buffer.from('former'), lastIssueAt: new Date(Date.now() - 86_400_000) };
const pace = { againSeconds: 10, maxAgainSeconds: 1800, slotRetrySeconds: 1 };

export const hotStatements: readonly HotStatement[] = [
  {
    name: 'connect: a batch of idle devices',
    of: [connectStatement.connectDevices],
    maxRows: few,
    run: (q, { there, requests }) => connectStatement.connectDevices(q, there, requests),
  },
  {
    name: 'connect: a batch with answers',
    of: [connectStatement.connectDevices],
    maxRows: few,
    run: (q, { there, requests }) =>
      connectStatement.connectDevices(
        q,
        there,
        requests.map((request) => ({ ...request, status: 'done', commandId: newId(), answer: {} })),
      ),
  },
  {
    name: 'routes: whose token, certificate, account it is',
    of: [routeStore.answerRoutes],
    maxRows: few,
    run: (q, { requests }) =>
      routeStore.answerRoutes(q, {
        nonce: 'n',
        tokens: requests.map(({ token }) => token),
        certificates: requests.map(({ fingerprint }) => fingerprint),
        accounts: ['person-1', 'nobody'],
      }),
  },
  {
    name: 'outcomes: a router’s report',
    of: [outcomeStore.countOutcomes],
    maxRows: few,
    run: (q, { requests }) => outcomeStore.countOutcomes(q, reportOf(requests.map(({ token }) => token)), 'key'),
  },
  {
    name: 'outcomes: into hours',
    of: [outcomeStore.gatherIntoHours],
    maxRows: few,
    run: (q) => outcomeStore.gatherIntoHours(q, 6, 1000),
  },
  {
    name: 'samples: what an instance saw',
    of: [requestSamples.createRequestSamples],
    maxRows: few,
    run: async (q, { there, accountIds }) => {
      const samples = requestSamples.createRequestSamples(there);
      for (const id of accountIds) samples.add(id as never, 5, false);
      await samples.flush(q);
    },
  },
  {
    name: 'moves: reserve',
    of: [moveStore.reserveMoves, moveStore.areMovesQueued],
    maxRows: few,
    run: async (q) => {
      await moveStore.areMovesQueued(q);
      await moveStore.reserveMoves(q, 'runner', 12);
    },
  },
  {
    name: 'moves: commit, with what is owed',
    of: [
      moveStore.commitMove,
      moveStore.commitMoveOrFail,
      earlierRelease.resumeForEarlierRelease,
      oweStore.oweDeliveries,
    ],
    maxRows: few,
    run: async (q, { queued }) => {
      await q`update account_move set state = 'reserved' where id = ${queued.moveId}`;
      await Promise.all(moveStore.commitMoveOrFail(q, queued, 1000));
      await earlierRelease.resumeForEarlierRelease(q, queued);
      const { accountId, moveId } = queued;
      await oweStore.oweDeliveries(q, registeredPlatforms, {
        accountIds: [accountId],
        cause: 'move',
        moveId,
        budgeted: true,
      });
    },
  },
  {
    name: 'moves: mark, unmark, cancel',
    of: [moveStore.fenceMove, moveStore.unfenceMove, moveStore.cancelMoveElsewhere],
    maxRows: few,
    run: async (q, { queued }) => {
      await q`update account_move set state = 'reserved' where id = ${queued.moveId}`;
      await moveStore.fenceMove(q, queued);
      await moveStore.cancelMoveElsewhere(q, queued);
      await moveStore.unfenceMove(q, queued, 'failure', 20);
    },
  },
  {
    name: 'moves: what has not drained',
    of: [moveStore.countUndrained],
    maxRows: few,
    run: (q) => moveStore.countUndrained(q, 60),
  },
  {
    name: 'moves: settle',
    of: [moveStore.settleMoves, moveStore.whoIsDelivering],
    maxRows: { perAccount: 4 },
    run: async (q) => {
      await moveStore.whoIsDelivering(q);
      await moveStore.settleMoves(q, 'awaited');
      await moveStore.settleMoves(q, 'all');
    },
  },
  {
    name: 'moves: out of reach',
    of: [moveStore.markOutOfReach],
    maxRows: { perAccount: 6 },
    run: async (q) => {
      await moveStore.markOutOfReach(q, 30, 'awaited');
      await moveStore.markOutOfReach(q, 30, 'all');
    },
  },
  {
    name: 'deliveries: how many are open',
    of: [situation.countOpenDeliveries],
    maxRows: { perAccount: 3 },
    run: (q, { there }) => situation.countOpenDeliveries(q, there),
  },
  {
    name: 'deliveries: how many are open, where hardly any are',
    of: [situation.countOpenDeliveries],
    maxRows: few,
    before: settleAllBut,
    run: (q, { there }) => situation.countOpenDeliveries(q, there),
  },
  {
    name: 'deliveries: how the slots stand',
    of: [situation.readSlots, situation.recordHold],
    // With every delivery that was released in the last twenty seconds: all of them, where the domain was made that quickly.
    maxRows: few + 1_000,
    run: async (q, { there }) => {
      await situation.readSlots(q, there, 20, 60);
      await situation.recordHold(q, there, 'nothing', 0);
    },
  },
  {
    name: 'deliveries: what is owed and not held back',
    of: [releaseStore.listOwed],
    maxRows: few,
    run: (q, { there }) => releaseStore.listOwed(q, there, false, 100),
  },
  {
    name: 'deliveries: what is owed behind the debts of another instance',
    of: [releaseStore.listOwed],
    maxRows: { perAccount: 3 },
    run: async (q, { here }) => {
      await q`
        insert into delivery (id, account_id, device_id, item, cause, budgeted)
        select gen_random_uuid(), a.id, d.id, 'it-policy', 'policy-change', true
          from account a join device d on d.account_id = a.id
         where a.instance_id = ${here} and a.name = 'person-2'`;
      await releaseStore.listOwed(q, here, true, 100);
    },
  },
  {
    name: 'deliveries: a batch is released',
    of: [releaseStore.listOwed, releaseStore.readTokens, releaseStore.releaseBudgeted, releaseStore.releaseUnbudgeted],
    maxRows: few,
    run: async (q, { there }) => {
      const by = { instanceId: there, release: '1.1.0', isReplaced };
      const prepared = (await releaseStore.listOwed(q, there, true, 100)).map(preparedOf);
      await releaseStore.readTokens(q, there);
      await releaseStore.releaseBudgeted(q, by, prepared);
      await releaseStore.releaseUnbudgeted(q, by, prepared);
    },
  },
  {
    name: 'deliveries: settled without sending',
    of: [releaseStore.settleWithoutSending],
    maxRows: few,
    run: async (q, { there }) => {
      const settlements = (await releaseStore.listOwed(q, there, true, 100)).map((candidate) => ({
        candidate,
        revision: 'r',
        state: 'superseded' as const,
        reason: 'unchanged',
      }));
      await releaseStore.settleWithoutSending(q, { instanceId: there, release: '1.1.0', isReplaced }, settlements);
    },
  },
  {
    name: 'deliveries: policies of a batch',
    of: [effectivePolicies.loadEffectivePolicies],
    maxRows: few,
    run: (q, { accountIds }) => effectivePolicies.loadEffectivePolicies(q, accountIds),
  },
  {
    name: 'deliveries: permits',
    of: [permits.collectStrayPermits, permits.readPermitUse],
    maxRows: few,
    run: async (q) => {
      await permits.readPermitUse(q);
      await permits.collectStrayPermits(q);
    },
  },
  {
    name: 'deliveries: silent devices',
    of: [suspects.markSuspects, suspects.takeBackSilent, suspects.takeBackForgotten, suspects.takeBackAllSilent],
    maxRows: few,
    run: async (q, { there }) => {
      await suspects.markSuspects(q, there, 60);
      await suspects.takeBackSilent(q, there, 60);
      await suspects.takeBackForgotten(q, 60);
      await suspects.takeBackAllSilent(q, 60);
    },
  },
  {
    name: 'deliveries: refused policies, answered commands',
    of: [upkeep.oweRefusedPolicies, upkeep.trimCommands],
    maxRows: few,
    run: async (q, { there }) => {
      await upkeep.oweRefusedPolicies(q, there, 1800);
      await upkeep.trimCommands(q, there, 7 * 86_400, 1000);
    },
  },
  {
    name: 'deliveries: identities to renew',
    of: [renewals.isAnyRenewalDue, renewals.oweRenewals, renewals.readRenewalsUnderWay],
    maxRows: few,
    run: async (q, { there }) => {
      await renewals.isAnyRenewalDue(q, there);
      await renewals.readRenewalsUnderWay(q, there, 20);
      await renewals.oweRenewals(q, there, identitySettingsSchema.parse({}), 25);
    },
  },
  {
    name: 'deliveries: identities to renew, near the end of a rollover',
    of: [renewals.isAnyRenewalDue, renewals.oweRenewals],
    maxRows: few,
    before: renewAllBut,
    run: async (q, { there }) => {
      await renewals.isAnyRenewalDue(q, there, formerIssuer);
      await renewals.oweRenewals(q, there, identitySettingsSchema.parse({}), 25, formerIssuer);
    },
  },
  {
    name: 'deliveries: why they wait',
    of: [waitingReason.waitingReasons],
    maxRows: few,
    run: (q, { deliveryIds }) => waitingReason.waitingReasons(q, deliveryIds),
  },
  {
    name: 'waker: who sleeps',
    of: [wakeStore.listSleeping],
    maxRows: { perAccount: 3 },
    run: (q, { there }) => wakeStore.listSleeping(q, there, ['apple', 'agent'], pace, 100),
  },
  {
    name: 'waker: who was woken',
    of: [wakeStore.markWoken, wakeStore.waitForAddress],
    maxRows: few,
    run: async (q, { there, deviceIds: [deviceId, ...others] }) => {
      await wakeStore.markWoken(q, there, others);
      const address = { token: Buffer.of(1), secret: '', channel: '' };
      await wakeStore.waitForAddress(q, there, { deviceId: deviceId ?? '', address });
    },
  },
  {
    name: 'waves: the look at one',
    of: [waveStore.listWaves, waveAccounts.readWaveMoves, waveStore.setWaveGate],
    maxRows: { perAccount: 8 },
    run: async (q, { upgradeId }) => {
      await waveStore.listWaves(q, upgradeId);
      await waveAccounts.readWaveMoves(q, upgradeId, 2);
      await waveStore.setWaveGate(q, upgradeId, 2, { answer: 'pass', reasons: [] });
    },
  },
  {
    name: 'waves: who follows',
    of: [latecomers.countStragglers, latecomers.countFailedMoves],
    maxRows: { perAccount: 8 },
    run: async (q, { upgrade }) => {
      await latecomers.countStragglers(q, upgrade);
      await latecomers.countFailedMoves(q, upgrade.id);
    },
  },
  {
    name: 'waves: queue what has not moved',
    of: [
      waveAccounts.closeOutOfReachElsewhere,
      waveAccounts.listUnmoved,
      batchStore.createMoveBatch,
      waveAccounts.listLatecomers,
      waveAccounts.countAssigned,
    ],
    maxRows: { perAccount: 12 },
    run: async (q, { upgradeId, here }) => {
      await waveAccounts.closeOutOfReachElsewhere(q, upgradeId, 2);
      await q`update account_move set state = 'cancelled' where state = 'queued'`;
      const moves = await waveAccounts.listUnmoved(q, upgradeId, 2);
      await batchStore.createMoveBatch(q, { purpose: 'wave', createdBy: 'test', upgradeId, waveNumber: 2, moves });
      await waveAccounts.listLatecomers(q, upgradeId, [here]);
      await waveAccounts.countAssigned(q, upgradeId);
    },
  },
  {
    name: 'reversing: queue moves home',
    of: [homewardMoves.queueMovesHome],
    maxRows: { perAccount: 6 },
    before: async (q) => {
      await q`update account_move set state = 'closed' where state = 'delivering'`;
      await insertTestProcess(q, { name: 'here', kind: 'server', release: '1.0.0' });
    },
    run: sendHome,
  },
  {
    name: 'reversing: a home is not at work',
    of: [homewardMoves.queueMovesHome],
    maxRows: { perAccount: 6 },
    run: sendHome,
  },
  {
    name: 'reversing: stop moves onward, while all of them go home',
    of: [stopMovesTo, cancelUpgradeMovesTo],
    maxRows: few,
    before: (q) => q`update account_move set from_instance_id = to_instance_id, to_instance_id = from_instance_id`,
    run: async (q, { there, upgradeId }) => {
      await stopMovesTo(q, [there]);
      await cancelUpgradeMovesTo(q, upgradeId, [there]);
    },
  },
  {
    name: 'reversing: where accounts are on the way to',
    of: [readDestinations],
    maxRows: few,
    before: async (q) => {
      await q`update upgrade set state = 'reversing'`;
      await q`update move_batch set purpose = 'reverse'`;
    },
    run: (q) => readDestinations(q),
  },
  {
    name: 'gates: figures of a wave',
    of: [gateSamples.readGateFigures],
    maxRows: { perAccount: 30 },
    run: (q, { upgradeId }) => gateSamples.readGateFigures(q, { ...gateScope, upgradeId, wave: 2 }),
  },
  {
    name: 'gates: figures of a canary, while nobody asks for anything',
    of: [gateSamples.readGateFigures],
    // When the first account of all came to each instance.
    maxRows: { perAccount: 1 },
    before: (q) => q`delete from request_outcome where bucket > now() - interval '1 hour'`,
    run: (q, { upgradeId }) => gateSamples.readGateFigures(q, { ...gateScope, upgradeId, wave: 1 }),
  },
  {
    name: 'status: where accounts and devices are',
    of: [listInstances],
    maxRows: { perAccount: 3 },
    run: (q) => listInstances(q),
  },
  {
    name: 'status: identities that end or are due',
    of: [countIdentities],
    maxRows: few,
    run: (q) => countIdentities(q),
  },
  {
    name: 'upgrade effects: a page, and a step of sending again',
    of: [readEffects, sendAgain],
    // Of 25 accounts; and all of the log.
    maxRows: few,
    before: async (q, { upgradeId }) => {
      await q`update upgrade set state = 'reversed', finished_at = now(), plan = '{"options": {}}'`;
      await q`
        insert into upgrade_event (upgrade_id, generation, state, message, at)
        values (${upgradeId}, 1, 'admin-fenced', 'x', now() - interval '2 days')`;
      await q`update delivery set compiled_by = '1.1.0' where state = 'done'`;
      for (const name of ['here', 'there']) await insertTestProcess(q, { name, kind: 'server', release: '1.0.0' });
    },
    run: async (q) => {
      await readEffects(q, { limit: 25, after: 'person-5' });
      await sendAgain(q, registeredPlatforms, { by: 'ada', limit: 25 });
    },
  },
  {
    name: 'upgrade status: who has moved',
    of: [countMovedAccounts],
    // Half of them.
    maxRows: { perAccount: 0.6 },
    run: (q, { upgradeId }) => countMovedAccounts(q, upgradeId),
  },
  ...listStatements,
];

/** Executed when an operator asks, or once for an upgrade or a process; not beside devices, moves and turns. */
export const seldom: readonly unknown[] = [
  batchStore.cancelMoveBatch,
  batchStore.listMoveBatches,
  batchStore.moveBatchBack,
  batchStore.moveBatchStatus,
  batchStore.pauseMoveBatch,
  batchStore.resumeMoveBatch,
  latecomers.joinLatecomerWave,
  latecomers.joinLatecomers,
  latecomers.moveStragglers,
  latecomers.queueMoves,
  moveStore.listenForMoves,
  oweStore.announceDeliveries,
  waveStore.acceptWave,
  waveAccounts.changeAssignment,
  waveAccounts.changeDestinations,
  waveAccounts.insertAssignment,
  waveAccounts.insertAssignments,
  waveStore.insertWaves,
  waveAccounts.isHomeOf,
  waveAccounts.listAwaitedDestinations,
  waveAccounts.listDestinations,
  waveAccounts.listWaitingAssignments,
  waveAccounts.movesThatStand,
  waveStore.passAcceptedWave,
  waveStore.refreshWaveGate,
  waveStore.reopenWaves,
  waveStore.setWaveState,
  // These send no statement.
  ...listParts,
  situation.createOpenCount,
  situation.holdReason,
  situation.waveWindow,
  upkeep.createChore,
  waitingReason.holdMessage,
  waitingReason.waitingReason,
  waveStore.acceptedBy,
  waveStore.runningSince,
  waveStore.soakingSince,
  waveStore.WaveOutOfPlace,
];

export const hotModules: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  batchStore,
  connectStatement,
  earlierRelease,
  effectivePolicies,
  gateSamples,
  homewardMoves,
  latecomers,
  moveStore,
  outcomeStore,
  oweStore,
  permits,
  releaseStore,
  renewals,
  requestSamples,
  routeStore,
  situation,
  suspects,
  upkeep,
  waitingReason,
  wakeStore,
  waveStore,
  ...listModules,
};

async function sendHome(q: Q, { upgrade, here, there }: Subjects): Promise<void> {
  const made = { name: 'there', instanceId: there, replacesId: here } as Partial<NewInstance> as NewInstance;
  await homewardMoves.queueMovesHome({ name: 'coordinator' }, q, upgrade, [made]);
}

/** As in a domain that moves its accounts at the pace of a budget: only these devices are owed something. */
async function settleAllBut(q: Q, { deviceIds }: Subjects): Promise<void> {
  await q`
    update delivery set state = 'done', settled_at = now()
     where settled_at is null and device_id <> all(${deviceIds as string[]}::uuid[])`;
}

/** What these devices have was issued by the former authority, of the others by its successor. */
async function renewAllBut(q: Q, { deviceIds }: Subjects): Promise<void> {
  await q`
    update device set identity_certificate = ${formerIssuer.name}, identity_expires_at = now() + interval '200 days',
           identity_issued_at = now() - case when id = any(${deviceIds as string[]}::uuid[]) then interval '165 days' else '1 hour' end`;
}

function preparedOf(candidate: releaseStore.Candidate): releaseStore.PreparedDelivery {
  return { candidate, revision: 'r', commandId: newId(), requestType: 'InstallProfile', body: Buffer.from('body') };
}

/** As a router tells of them. */
function reportOf(tokens: readonly string[]): Parameters<typeof outcomeStore.countOutcomes>[1] {
  const outcomes = tokens.map((token) => ({ token, identifier: null, failed: false, latencyMs: 5 }));
  return { router: 'router-1', run: newId(), sequence: 1, agoMs: 1000, outcomes };
}
