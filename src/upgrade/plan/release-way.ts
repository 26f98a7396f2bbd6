/**
 * Whether and how a domain can go to a release: determined from the domain's rows and both manifests, without writing.
 * The answer is the planner's: if it refuses there is no way, otherwise its plan is shown.
 */

import { planOptionsSchema } from '../../api/upgrade-options.ts';
import type { UpgradePlan } from '../../api/upgrade-plan.ts';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import type { Queryable } from '../../database/connection.ts';
import { readDomain } from '../../domain/domain.ts';
import type { Platforms } from '../../platforms/port.ts';
import { type FoundRelease, readInstalled, verifyInstalled } from '../../release/archive.ts';
import { type Acceptance, judgementText } from '../../release/signer-judgement.ts';
import { type ReleaseStep, releaseStep } from '../fence/release-step.ts';
import { judgeRelease } from '../fence/release-trust.ts';
import { describePosition, readOpenUpgrade } from '../state/upgrade-store.ts';
import { planUpgrade } from './plan.ts';
import { readPlanFacts } from './plan-facts.ts';
import { differencesTo, releaseFolder } from './upgrade-archive.ts';

export interface WayAnswer {
  domain: { name: string; release: string };
  release: string;
  /** False for the archive of a working tree, which may be rebuilt with other contents. */
  sealed: boolean;
  /**
   * `same`: the build that the domain runs. `none`: no upgrade leads there, or none can begin now; `reasons` say why,
   * and what to do.
   */
  way: ReleaseStep | 'same' | 'none';
  reasons: string[];
  /** Administration services that are away while the release fence is closed. */
  administrations: number;
  /** The plan by default options; null if there is no way. */
  plan: UpgradePlan | null;
  /** The domain's verdict on its signature, as a sentence without its end. */
  signed: string | null;
}

interface WayQuestion {
  /** BRAMBLE_HOME of this host, where the domain's own release is installed. */
  home: string;
  host: string;
  platforms: Platforms;
  found: FoundRelease;
  accepted?: Acceptance;
}

/** The planner's refusals that are answers. */
const answers = ['ERR_RELEASE_STEP', 'ERR_RELEASE_NOT_PATCH', 'ERR_RELEASE_SIGNER'] as const;

/**
 * @throws BrambleError ERR_NO_DOMAIN, and as `verifyInstalled` if the domain's own release is not installed as built.
 */
export async function findWay(q: Queryable, question: WayQuestion): Promise<WayAnswer> {
  const { found } = question;
  const { name, release } = await readDomain(q);
  const [administrations] = await q<{ count: number }[]>`
    select count(*)::int as count from desired_process where kind = 'administration' and state = 'running'`;
  const answer: WayAnswer = {
    ...{ domain: { name, release }, release: found.release, sealed: !found.manifest.workingTree },
    ...{ way: 'none', reasons: [], administrations: administrations?.count ?? 0, plan: null, signed: null },
  };
  try {
    if (found.release === release) return await compareBuilds(q, question, answer);
    const way = releaseStep(release, found.release);
    const signed = judgementText(await judgeRelease(q, found, question.accepted));
    const plan = await planned(q, release, question);
    const open = await readOpenUpgrade(q);
    if (open === undefined) return { ...answer, way, plan, signed };
    const reason =
      `An upgrade to ${open.toRelease} is open (${describePosition(open)}), and only one can be open at a time: see ` +
      '`bramble upgrade status`, finish or reverse it, and try again.';
    return { ...answer, reasons: [reason], signed };
  } catch (error) {
    if (!answers.some((code) => isBrambleError(error, code))) throw error;
    return { ...answer, reasons: [messageOf(error)] };
  }
}

/** By their contents: a number says nothing about who built it. */
async function compareBuilds(
  q: Queryable,
  { home, found, accepted }: WayQuestion,
  answer: WayAnswer,
): Promise<WayAnswer> {
  const own = await readInstalled(releaseFolder(home, found.release));
  if (own.manifestSha256 !== found.manifestSha256) {
    const signed = found.signature === null ? 'It is not signed' : `It is signed by ${found.signature.signer}`;
    const reason =
      `This is a different build of ${found.release} from the one that the domain runs: their manifests differ ` +
      `(${found.manifestSha256.slice(0, 16)}…, ${own.manifestSha256.slice(0, 16)}…). ${signed}. A release ` +
      'number stands for exactly one build: compare both with what the publisher states, and use a later ' +
      'release.';
    return { ...answer, reasons: [reason] };
  }
  // The same build is the same without the file of its signature; a signature that is there is judged.
  const signed = found.signature === null ? null : judgementText(await judgeRelease(q, found, accepted));
  return { ...answer, way: 'same', signed };
}

async function planned(
  q: Queryable,
  from: string,
  { home, host, platforms, found }: WayQuestion,
): Promise<UpgradePlan> {
  const own = await verifyInstalled(releaseFolder(home, from));
  const target = {
    release: found.release,
    features: found.manifest.features,
    differences: await differencesTo(home, from, found),
  };
  const options = planOptionsSchema.parse({});
  return planUpgrade(await readPlanFacts(q, target, { host, features: own.features, platforms }, options), options);
}
