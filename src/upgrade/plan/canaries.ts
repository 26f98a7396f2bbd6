/**
 * Which accounts go first: those that are named, and those that a query finds; without either, the first few of each instance
 * (`wave-assignment.ts`). A query is answered when planning, for the preview, and again when the waves are divided: who
 * has joined a group by then goes first, too.
 */
import type { PlanOptions } from '../../api/upgrade-options.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Queryable } from '../../database/connection.ts';
import { type AccountQuery, asksForSomething, findAccounts } from '../../devices/account-query.ts';
import type { Platforms } from '../../platforms/port.ts';

type CanaryOptions = Pick<
  PlanOptions,
  'canaries' | 'canaryGroups' | 'canaryInstances' | 'canaryPlatforms' | 'canarySoftware'
>;

/** What the query of a plan finds; undefined if it has none. */
export interface FoundCanaries {
  readonly names: readonly string[];
  /** What it asks for and does not exist, by kind. */
  readonly unknown: Readonly<Record<string, readonly string[]>>;
}

export async function findCanaries(
  q: Queryable,
  options: CanaryOptions,
  platforms?: Platforms,
): Promise<FoundCanaries | undefined> {
  const query = queryOf(options);
  if (!asksForSomething(query)) return undefined;
  const { found, unknown } = await findAccounts(q, query);
  const missing = platforms === undefined ? [] : query.platforms.filter((name) => platforms.named(name) === undefined);
  return { names: found, unknown: { group: unknown.groups, instance: unknown.instances, platform: missing } };
}

function queryOf(options: CanaryOptions): AccountQuery {
  return {
    groups: options.canaryGroups,
    instances: options.canaryInstances,
    platforms: options.canaryPlatforms,
    software: options.canarySoftware,
  };
}

/**
 * The canaries by name. Pure.
 * @throws BrambleError ERR_UPGRADE_CANARY for what does not exist, is named twice, finds nobody, or finds everybody.
 */
export function chosenCanaries(
  accounts: readonly { readonly name: string }[],
  { canaries }: Pick<PlanOptions, 'canaries'>,
  found: FoundCanaries | undefined,
): string[] {
  assertCanaries(accounts, canaries);
  if (found === undefined) return [...canaries];
  for (const [what, names] of Object.entries(found.unknown)) {
    if (names.length === 0) continue;
    throw refused(`Canaries are asked for, but there is no ${what} ${list(names)}. Name one that exists.`, {
      unknown: names,
    });
  }
  if (found.names.length === 0) {
    throw refused('No account has all that is asked of canaries. Ask for less, or name accounts with --canary.');
  }
  const chosen = [...new Set([...canaries, ...found.names])];
  if (chosen.length === accounts.length && accounts.length > 1) {
    throw refused(
      `All ${accounts.length} accounts are named or have what is asked of canaries, so nothing would be tried on a few first. Ask ` +
        'for more, or name accounts with --canary.',
    );
  }
  return chosen;
}

/**
 * What is wrong with the canaries by the time that the waves are divided, when accounts and groups are others than they were when the
 * plan was made; undefined if nothing is. Pure.
 */
export function canaryFault(
  accounts: readonly { readonly name: string }[],
  { canaries }: Pick<PlanOptions, 'canaries'>,
  found: FoundCanaries | undefined,
): string | undefined {
  if ((canaries.length === 0 && found === undefined) || accounts.length < 2) return undefined;
  const names = new Set([...canaries, ...(found?.names ?? [])]);
  const present = accounts.filter(({ name }) => names.has(name)).length;
  if (present === 0) return `none of the accounts that the plan has go first is there any more. ${otherCanaries}`;
  if (found === undefined || present < accounts.length) return undefined;
  return `all ${present} accounts have what the plan asks of canaries now, so nothing would be tried on a few first. ${otherCanaries}`;
}

const otherCanaries =
  'Choose others and resume: `bramble upgrade set --canary ACCOUNT`, with `--options \'{"canaryGroups":[]}\'` or the like for what is ' +
  'to be asked no longer';

/** @throws BrambleError ERR_UPGRADE_CANARY if one of them is not among the accounts, or named twice. */
export function assertCanaries(accounts: readonly { readonly name: string }[], canaries: readonly string[]): void {
  const seen = new Set<string>();
  const twice = canaries.filter((name) => seen.size === seen.add(name).size);
  if (twice.length > 0) {
    throw refused(`These canary accounts are named twice: ${list(twice)}. Name each once.`, { twice });
  }
  const names = new Set(accounts.map((account) => account.name));
  const unknown = canaries.filter((name) => !names.has(name));
  if (unknown.length === 0) return;
  throw refused(`These canary accounts do not exist: ${list(unknown)}. Name accounts of this domain.`, { unknown });
}

function list(names: readonly string[]): string {
  return [...new Set(names)].slice(0, 10).join(', ');
}

function refused(message: string, details: Record<string, unknown> = {}): BrambleError {
  return new BrambleError('ERR_UPGRADE_CANARY', message, { details });
}
