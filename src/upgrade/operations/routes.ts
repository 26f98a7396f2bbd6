/**
 * The upgrade over REST: in administration services, and in the coordinator while none is running. Each change is one
 * transaction of the kind that the process uses: under the release lock, or the coordinator's own.
 */

import { join } from 'node:path';
import type { FastifyPluginAsync } from 'fastify';
import { type Actor, actorOf } from '../../access/actor.ts';
import { assertRight } from '../../access/guard.ts';
import { assertProven } from '../../access/sign-in/proof.ts';
import { startBody, upgradeOperations } from '../../api/upgrade.ts';
import { mostSentAgain, upgradeEffectOperations } from '../../api/upgrade-effects.ts';
import { type PlanOptions, planOptionsSchema } from '../../api/upgrade-options.ts';
import { BrambleError } from '../../base/errors.ts';
import { fieldError, issueError } from '../../base/field-error.ts';
import type { Database, Queryable, Transaction } from '../../database/connection.ts';
import { readDomain } from '../../domain/domain.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { Feature } from '../../registry/features.ts';
import { readInstalled } from '../../release/archive.ts';
import { type Acceptance, type JudgedRelease, type Judgement, judgementText } from '../../release/signer-judgement.ts';
import { type ServedRequest, serve } from '../../rest/serve.ts';
import { unknownKey } from '../../rest/unknown-keys.ts';
import { judgeRelease, trustRelease } from '../fence/release-trust.ts';
import { expectedTimes } from '../plan/expected-times.ts';
import { readRehearsal } from '../plan/rehearsal-record.ts';
import { type ChosenTarget, chooseTarget, differencesTo } from '../plan/upgrade-archive.ts';
import { type Report, readUpgradeReport } from '../report/report.ts';
import { hasReached } from '../state/upgrade-steps.ts';
import { readLatestUpgrade, readOpenUpgrade, type Upgrade, upgradeOpen } from '../state/upgrade-store.ts';
import { assignAccount } from './account-assignment.ts';
import { readEffects } from './effects.ts';
import {
  finalizeByOperator,
  type PlanOrder,
  pauseByOperator,
  previewPlan,
  resumeByOperator,
  reverseByOperator,
  startUpgrade,
  tryPlan,
  writePlan,
} from './operator-actions.ts';
import { changeByOperator } from './options-change.ts';
import { retryByOperator } from './retry.ts';
import { sendAgain } from './send-again.ts';

interface UpgradeRoutesOptions {
  db: Database;
  /** Runs a write; an administration service's holds the release lock. */
  write: <Result>(work: (tx: Transaction) => Promise<Result>) => Promise<Result>;
  features: readonly Feature[];
  platforms: Platforms;
  /** This host, the default for new processes. */
  host: string;
  /** BRAMBLE_HOME, where archives are installed. */
  home: string;
  /** A coordinator has neither plan nor start: these are the old release's administration's. */
  planning: boolean;
  /** Whether `PUT /accounts/:name/assignment` is among them. */
  assignment: boolean;
}

type View = (upgrade: Upgrade) => Promise<Report>;

/** Register under /api/v1. */
export function upgradeRoutes(options: UpgradeRoutesOptions): FastifyPluginAsync {
  const { db } = options;
  const view: View = async (upgrade) => ({
    ...(await readUpgradeReport(db, upgrade, options.features)),
    ...(await expectationsOf(options, upgrade)),
  });
  const viewLatest = async () => {
    const upgrade = await readLatestUpgrade(db);
    if (upgrade !== undefined) return await view(upgrade);
    throw new BrambleError(
      'ERR_UPGRADE_NONE',
      'No upgrade has been planned yet. Plan one with `bramble upgrade plan`.',
    );
  };
  return async (app) => {
    serve(app, upgradeOperations.show, viewLatest);
    serve(app, upgradeOperations.report, viewLatest);
    await app.register(effectRoutes(options));
    await app.register(steeringRoutes(options, view));
    if (options.planning) await app.register(planningRoutes(options, view));
    if (options.assignment) await app.register(assignmentRoute(options));
  };
}

function effectRoutes({ db, write, platforms }: UpgradeRoutesOptions): FastifyPluginAsync {
  return async (app) => {
    serve(app, upgradeEffectOperations.list, async ({ query }) => await readEffects(db, query));
    serve(app, upgradeEffectOperations.sendAgain, async ({ body, administrator: by }) => {
      const { accounts, after, limit = mostSentAgain } = body ?? {};
      return await write((tx) => sendAgain(tx, platforms, { by, accounts, after, limit }));
    });
  };
}

function steeringRoutes({ write, platforms, host }: UpgradeRoutesOptions, view: View): FastifyPluginAsync {
  return async (app) => {
    serve(app, upgradeOperations.change, async ({ body: change, administrator: by }) =>
      view(await write((tx) => changeByOperator(tx, { by, change, platforms, host }))),
    );

    serve(app, upgradeOperations.pause, async (request) => {
      const reason = request.body?.reason;
      const order = { by: request.administrator, ...(reason === undefined ? {} : { reason }) };
      return await view(await write((tx) => pauseByOperator(tx, order)));
    });

    serve(app, upgradeOperations.resume, async (request) => {
      const order = { by: request.administrator, acceptGate: request.body?.acceptGate ?? false };
      return await view(await write((tx) => resumeByOperator(tx, order)));
    });

    serve(app, upgradeOperations.retry, async ({ administrator: by }) => write((tx) => retryByOperator(tx, { by })));

    serve(app, upgradeOperations.reverse, async (request) =>
      view(await write((tx) => reverseByOperator(tx, { by: request.administrator }))),
    );

    serve(app, upgradeOperations.finalize, async (request) => {
      const left = request.body?.leaveSupervisors;
      const order = { by: request.administrator, ...(left === undefined ? {} : { leaveSupervisors: left }) };
      return await view(await write((tx) => finalizeByOperator(tx, order)));
    });
  };
}

type Target = Pick<
  ServedRequest<typeof upgradeOperations.plan>['body'],
  'archive' | 'toRelease' | 'replace' | 'acceptSigner' | 'acceptUnsigned'
>;

function planningRoutes(options: UpgradeRoutesOptions, view: View): FastifyPluginAsync {
  const { db, write, host } = options;
  return async (app) => {
    serve(app, upgradeOperations.plan, async (request) => {
      const { body } = request;
      const actor = actorOf(request);
      assertMayAccept(actor, body);
      const { archive, toRelease, replace, acceptSigner, acceptUnsigned, preview, ...given } = body;
      const target = { archive, toRelease, replace, acceptSigner, acceptUnsigned };
      const order = await orderOf(options, actor, target, given);
      if (preview) {
        return await write(async (tx) => {
          const release = { from: (await readDomain(tx)).release, to: order.target.release };
          const plan = await previewPlan(tx, order);
          return { release, plan, expected: expectedTimes(plan, 'planned', order.target.rehearsed) };
        });
      }
      await write((tx) => tryPlan(tx, order));
      await order.target.install();
      return await view(await write((tx) => planIn(tx, actor, order)));
    });

    serve(app, upgradeOperations.start, async (request) => {
      const { body } = request;
      const actor = actorOf(request);
      assertMayAccept(actor, body);
      const { archive, toRelease, replace, acceptSigner, acceptUnsigned, overrides, ...given } = body;
      const fresh = archive !== undefined || toRelease !== undefined;
      if (!fresh) refusePlanning({ ...given, ...(replace ? { replace } : {}) });
      const target = { archive, toRelease, replace, acceptSigner, acceptUnsigned };
      const order = fresh ? await orderOf(options, actor, target, given) : undefined;
      if (order !== undefined && (await isToPlan(db, order))) {
        await write((tx) => tryPlan(tx, order));
        await order.target.install();
      }
      const planned = order === undefined ? await installedPlan(options) : undefined;
      const started = await write(async (tx) => {
        if (order !== undefined && (await isToPlan(tx, order))) await planIn(tx, actor, order);
        if (planned !== undefined) await trustFor(tx, actor, planned, acceptanceOf(target));
        return await startUpgrade(tx, { by: actor.name, host, overrides });
      });
      return await view(started);
    });
  };
}

/** By the newest rehearsal of it, which may be later than the plan. */
async function expectationsOf(
  { db, home }: UpgradeRoutesOptions,
  { plan, state, pausedFrom, fromRelease, toRelease }: Upgrade,
): Promise<Pick<Report, 'expected'>> {
  const { domainId } = await readDomain(db);
  const rehearsal = await readRehearsal(home, { domainId, fromRelease, toRelease });
  const expected = expectedTimes(plan, pausedFrom ?? state, rehearsal);
  return expected === undefined ? {} : { expected };
}

/** Whose release is accepted runs its programs in the domain. @throws BrambleError ERR_RIGHT_MISSING, ERR_PROOF_NEEDED */
function assertMayAccept(actor: Actor, { acceptSigner, acceptUnsigned }: Target): void {
  if ((acceptSigner ?? acceptUnsigned) !== undefined) assertTrusting(actor);
}

/**
 * So does whose release nobody has vouched for yet, whether or not he names it.
 * @throws BrambleError ERR_RIGHT_MISSING, ERR_PROOF_NEEDED
 */
function assertMayTrust(actor: Actor, { kind }: Judgement): void {
  if (kind === 'unsigned' || kind === 'first') assertTrusting(actor);
}

function assertTrusting(actor: Actor): void {
  assertRight(actor, 'releases.trust');
  assertProven(actor);
}

/** @throws BrambleError ERR_RELEASE_SIGNER, ERR_RIGHT_MISSING, ERR_PROOF_NEEDED */
async function trustFor(tx: Transaction, actor: Actor, release: JudgedRelease, accepted: Acceptance): Promise<void> {
  assertMayTrust(actor, await trustRelease(tx, release, accepted));
}

function acceptanceOf({ acceptSigner, acceptUnsigned }: Target): Acceptance {
  return { signer: acceptSigner, unsigned: acceptUnsigned };
}

async function orderOf(
  { db, home, host, features, platforms }: UpgradeRoutesOptions,
  actor: Actor,
  target: Target,
  given: object,
): Promise<PlanOrder & { target: ChosenTarget; accepted: Acceptance }> {
  const options = parseOptions(given);
  const chosen = await chooseTarget(home, { archive: target.archive, release: target.toRelease });
  const accepted = acceptanceOf(target);
  const judgement = await judgeRelease(db, chosen.found, accepted);
  assertMayTrust(actor, judgement);
  const { domainId, release: fromRelease } = await readDomain(db);
  const differences = await differencesTo(home, fromRelease, chosen.found);
  const rehearsed = await readRehearsal(home, { domainId, fromRelease, toRelease: chosen.release });
  const known = features.map((feature) => feature.name);
  const order = { by: actor.name, options, host, features: known, platforms, replace: target.replace, accepted };
  return { ...order, target: { ...chosen, signed: judgementText(judgement), differences, rehearsed } };
}

/** The plan and the newly trusted signer are one change. */
async function planIn(tx: Transaction, actor: Actor, order: Awaited<ReturnType<typeof orderOf>>): Promise<Upgrade> {
  await trustFor(tx, actor, order.target.found, order.accepted);
  return await writePlan(tx, order);
}

/** What is to be started was planned before, perhaps by a release that looked at no signature. */
async function installedPlan({ db, home }: UpgradeRoutesOptions) {
  const open = await readOpenUpgrade(db);
  return open?.state === 'planned' ? await readInstalled(join(home, 'releases', open.toRelease)) : undefined;
}

/**
 * Said again, `start` with a target goes on with the upgrade that it began.
 * @throws BrambleError ERR_UPGRADE_OPEN when that goes to another release
 */
async function isToPlan(q: Queryable, order: PlanOrder): Promise<boolean> {
  const open = await readOpenUpgrade(q);
  if (open === undefined || (open.state === 'planned' && !hasReached(open.progress.step, 'started'))) return true;
  if (open.toRelease !== order.target.release) throw upgradeOpen();
  return false;
}

function assignmentRoute({ write }: UpgradeRoutesOptions): FastifyPluginAsync {
  return async (app) => {
    serve(app, upgradeOperations.assignAccount, async ({ params, body, administrator }) => {
      const { instance, wave } = body;
      const order = { by: administrator, account: params.name, instance };
      await write((tx) => assignAccount(tx, { ...order, ...(wave === undefined ? {} : { wave }) }));
      return { account: params.name, instance };
    });
  };
}

/** What is planned already keeps its options. @throws BrambleError ERR_INPUT */
function refusePlanning(given: Readonly<Record<string, unknown>>): void {
  const [key] = Object.keys(given);
  if (key === undefined) return;
  const then = key === 'replace' || Object.hasOwn(planOptionsSchema.shape, key) ? ' without archive or toRelease' : '';
  throw fieldError('body', key, `is unknown${then}; expected: ${Object.keys(startBody.shape).join(', ')}`);
}

function parseOptions(options: object): PlanOptions {
  const parsed = planOptionsSchema.safeParse(options);
  // Loose for rows that another release wrote; in a new plan an unknown key is refused.
  const unknown = parsed.success ? unknownKey(planOptionsSchema, options, true) : null;
  if (unknown !== null) {
    throw fieldError('body', unknown.path, `is unknown; expected: ${unknown.known.join(', ')}`);
  }
  if (parsed.success) return parsed.data;
  throw issueError('body', parsed.error.issues[0]);
}
