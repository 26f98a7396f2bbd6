/**
 * The upgrade over REST: in administration services, and in the coordinator while none is at work. Each change is one
 * transaction of the kind that the process uses: under the release lock, or the coordinator's own.
 */

import { join } from 'node:path';
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { typedText } from '../../api/typed-text.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Database, Queryable, Transaction } from '../../database/connection.ts';
import { readDomain } from '../../domain/domain.ts';
import type { Feature } from '../../registry/features.ts';
import { readInstalled } from '../../release/archive.ts';
import { type Acceptance, judgementText } from '../../release/signer-judgement.ts';
import { fieldError, issueError } from '../../rest/field-error.ts';
import { unknownKey } from '../../rest/unknown-keys.ts';
import { judgeRelease, trustRelease } from '../fence/release-trust.ts';
import { chooseTarget, differencesTo } from '../plan/upgrade-archive.ts';
import { readUpgradeReport } from '../report/report.ts';
import { type PlanOptions, planOptionsSchema } from '../state/plan-options.ts';
import { hasReached } from '../state/upgrade-steps.ts';
import { readLatestUpgrade, readOpenUpgrade, type Upgrade, upgradeOpen } from '../state/upgrade-store.ts';
import { assignAccount } from './account-assignment.ts';
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

export interface UpgradeRoutesOptions {
  db: Database;
  /** Runs a write; an administration service's holds the release lock. */
  write: <Result>(work: (tx: Transaction) => Promise<Result>) => Promise<Result>;
  /** Who asks: the name of the token. */
  operatorOf: (request: FastifyRequest) => string;
  features: readonly Feature[];
  /** This host, where new processes are wanted. */
  host: string;
  /** BRAMBLE_HOME, where archives are installed. */
  home: string;
  /** A coordinator has neither plan nor start: these are the old release's administration's. */
  planning: boolean;
  /** Whether `PUT /accounts/:name/assignment` is among them. */
  assignment: boolean;
}

const answer = z.record(z.string(), z.unknown());
const tags = ['upgrade'];
const acceptanceShape = {
  acceptSigner: z.string().max(200).optional().describe('Fingerprint of a signer that is taken by name.'),
  acceptUnsigned: z.string().max(40).optional().describe('Number of the release, taken without a signature by name.'),
};
/** Further keys are the plan's options: waves, gates, budget; all have defaults, and what is none of them is refused. */
const targetShape = {
  archive: z.string().max(4096).optional().describe('Absolute path of a release archive on this host.'),
  toRelease: z
    .string()
    .max(40)
    .optional()
    .describe('Its release, or, without an archive, one that is installed already.'),
  replace: z.boolean().default(false).describe('Whether a plan that was not started may be replaced.'),
  ...acceptanceShape,
};
const planBody = z.looseObject({ ...targetShape, preview: z.boolean().default(false) });
const startBody = z.looseObject({
  ...targetShape,
  overrides: z
    .union([z.string().transform((text) => text.split(',')), z.array(z.string().max(100)).max(50)])
    .default([])
    .describe('Names of warnings to go on in spite of.'),
});
const pauseBody = z.object({ reason: typedText(500).optional() }).nullish();
const resumeBody = z.object({ acceptGate: z.boolean().optional() }).nullish();
const finalizeBody = z
  .object({
    leaveSupervisors: z
      .array(z.string().min(1).max(253))
      .max(1000)
      .optional()
      .describe('Hosts whose supervisor of an earlier release it does not wait for.'),
  })
  .nullish();
const name = z.string().min(1).max(200);

/** Register under /api/v1. */
export function upgradeRoutes(options: UpgradeRoutesOptions): FastifyPluginAsync {
  const { db, write, operatorOf } = options;
  const view = async (upgrade: Upgrade) => ({ ...(await readUpgradeReport(db, upgrade, options.features)) });
  const viewLatest = async () => {
    const upgrade = await readLatestUpgrade(db);
    if (upgrade !== undefined) return await view(upgrade);
    throw new BrambleError(
      'ERR_UPGRADE_NONE',
      'No upgrade was ever planned here. Plan one with `bramble upgrade plan`.',
    );
  };
  return async (plain) => {
    const app = plain.withTypeProvider<ZodTypeProvider>();
    const schema = (summary: string) => ({ tags, summary, response: { 200: answer } });

    app.get('/upgrade', { schema: schema('The upgrade that is open, or the last one') }, viewLatest);
    app.get('/upgrade/report', { schema: schema('What the upgrade has come to') }, viewLatest);
    app.post('/upgrade/pause', { schema: { ...schema('Let nothing new start'), body: pauseBody } }, async (request) => {
      const reason = request.body?.reason;
      const order = { by: operatorOf(request), ...(reason === undefined ? {} : { reason }) };
      return await view(await write((tx) => pauseByOperator(tx, order)));
    });
    app.post(
      '/upgrade/resume',
      { schema: { ...schema('Go on where it was paused'), body: resumeBody } },
      async (request) => {
        const acceptGate = request.body?.acceptGate ?? false;
        return await view(await write((tx) => resumeByOperator(tx, { by: operatorOf(request), acceptGate })));
      },
    );
    app.post('/upgrade/reverse', { schema: schema('Go back to the release before, or cancel') }, async (request) =>
      view(await write((tx) => reverseByOperator(tx, { by: operatorOf(request) }))),
    );
    app.post(
      '/upgrade/finalize',
      { schema: { ...schema('Finish for good: there is no way back'), body: finalizeBody } },
      async (request) => {
        const left = request.body?.leaveSupervisors;
        const order = { by: operatorOf(request), ...(left === undefined ? {} : { leaveSupervisors: left }) };
        return await view(await write((tx) => finalizeByOperator(tx, order)));
      },
    );
    if (options.planning) await app.register(planningRoutes(options, view));
    if (options.assignment) await app.register(assignmentRoute(options));
  };
}

interface Target {
  archive?: string | undefined;
  toRelease?: string | undefined;
  replace: boolean;
  acceptSigner?: string | undefined;
  acceptUnsigned?: string | undefined;
}

function planningRoutes(
  options: UpgradeRoutesOptions,
  view: (upgrade: Upgrade) => Promise<Record<string, unknown>>,
): FastifyPluginAsync {
  const { db, write, operatorOf, host, home, features } = options;
  const orderOf = async (
    request: FastifyRequest,
    { archive, toRelease, replace, ...accept }: Target,
    given: object,
  ) => {
    const options = parseOptions(given);
    const chosen = await chooseTarget(home, { archive, release: toRelease });
    const accepted: Acceptance = { signer: accept.acceptSigner, unsigned: accept.acceptUnsigned };
    const signed = judgementText(await judgeRelease(db, chosen.found, accepted));
    const differences = await differencesTo(home, (await readDomain(db)).release, chosen.found);
    const knownFeatures = features.map((feature) => feature.name);
    const order = { by: operatorOf(request), options, host, features: knownFeatures, replace };
    return { ...order, target: { ...chosen, signed, differences }, accepted } satisfies PlanOrder & {
      accepted: Acceptance;
    };
  };
  /** The plan, and whom the domain trusts from now on, are one change. */
  const planIn = async (tx: Transaction, order: Awaited<ReturnType<typeof orderOf>>) => {
    await trustRelease(tx, order.target.found, order.accepted);
    return await writePlan(tx, order);
  };
  /** What is to be started was planned before, perhaps by a release that looked at no signature. */
  const installedPlan = async () => {
    const open = await readOpenUpgrade(db);
    return open?.state === 'planned' ? await readInstalled(join(home, 'releases', open.toRelease)) : undefined;
  };
  return async (plain) => {
    const app = plain.withTypeProvider<ZodTypeProvider>();
    app.post(
      '/upgrade/plan',
      { schema: { tags, summary: 'Plan an upgrade from real counts', body: planBody, response: { 200: answer } } },
      async (request) => {
        const { archive, toRelease, replace, acceptSigner, acceptUnsigned, preview, ...given } = request.body;
        const order = await orderOf(request, { archive, toRelease, replace, acceptSigner, acceptUnsigned }, given);
        if (preview) {
          return await write(async (tx) => {
            const release = { from: (await readDomain(tx)).release, to: order.target.release };
            return { release, plan: await previewPlan(tx, order) };
          });
        }
        await write((tx) => tryPlan(tx, order));
        await order.target.install();
        return await view(await write((tx) => planIn(tx, order)));
      },
    );
    app.post(
      '/upgrade/start',
      { schema: { tags, summary: 'Let the upgrade begin', body: startBody, response: { 200: answer } } },
      async (request) => {
        const { archive, toRelease, replace, acceptSigner, acceptUnsigned, overrides, ...given } = request.body;
        const fresh = archive !== undefined || toRelease !== undefined;
        if (!fresh) refusePlanning({ ...given, ...(replace ? { replace } : {}) });
        const accepted: Acceptance = { signer: acceptSigner, unsigned: acceptUnsigned };
        const order = fresh
          ? await orderOf(request, { archive, toRelease, replace, acceptSigner, acceptUnsigned }, given)
          : undefined;
        if (order !== undefined && (await isToPlan(db, order))) {
          await write((tx) => tryPlan(tx, order));
          await order.target.install();
        }
        const planned = order === undefined ? await installedPlan() : undefined;
        const started = await write(async (tx) => {
          if (order !== undefined && (await isToPlan(tx, order))) await planIn(tx, order);
          if (planned !== undefined) await trustRelease(tx, planned, accepted);
          return await startUpgrade(tx, { by: operatorOf(request), host, overrides });
        });
        return await view(started);
      },
    );
  };
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

function assignmentRoute({ write, operatorOf }: UpgradeRoutesOptions): FastifyPluginAsync {
  return async (plain) => {
    const app = plain.withTypeProvider<ZodTypeProvider>();
    app.put(
      '/accounts/:name/assignment',
      {
        schema: {
          tags,
          summary: 'Change where an account goes in the open upgrade',
          params: z.object({ name }),
          body: z.object({ instance: name, wave: z.number().int().min(1).max(1000).optional() }),
          response: { 200: answer },
        },
      },
      async (request) => {
        const { instance, wave } = request.body;
        const order = { by: operatorOf(request), account: request.params.name, instance };
        await write((tx) => assignAccount(tx, { ...order, ...(wave === undefined ? {} : { wave }) }));
        return { account: request.params.name, instance };
      },
    );
  };
}

/** What is planned already keeps its options. @throws BrambleError ERR_INPUT */
function refusePlanning(given: Readonly<Record<string, unknown>>): void {
  const [key] = Object.keys(given);
  if (key === undefined) return;
  const then = key === 'replace' || Object.hasOwn(planOptionsSchema.shape, key) ? ' without archive or toRelease' : '';
  throw fieldError('body', key, `is not known here${then}; known are ${Object.keys(startBody.shape).join(', ')}`);
}

function parseOptions(options: object): PlanOptions {
  const parsed = planOptionsSchema.safeParse(options);
  // Loose for rows that another release wrote; in a new plan an unknown key is refused.
  const unknown = parsed.success ? unknownKey(planOptionsSchema, options, true) : null;
  if (unknown !== null) {
    throw fieldError('body', unknown.path, `is not known here; known are ${unknown.known.join(', ')}`);
  }
  if (parsed.success) return parsed.data;
  throw issueError('body', parsed.error.issues[0]);
}
