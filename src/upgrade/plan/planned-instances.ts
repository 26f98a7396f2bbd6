/** The instances that a plan adds: whose accounts they take, where, and under which names. Pure. */
import type { DestinationWish, PlanOptions } from '../../api/upgrade-options.ts';
import type { PlannedInstance } from '../../api/upgrade-plan.ts';
import { BrambleError } from '../../base/errors.ts';
import { parseRelease } from '../../base/release-number.ts';
import type { PlanFacts } from './plan-facts.ts';

type Wishes = Pick<PlanOptions, 'instances'>;

/** What is asked for in place of an old instance: one destination, or several that share its accounts. */
export function wishesFor({ instances }: Wishes, replaced: string): readonly DestinationWish[] {
  const { destinations, ...one } = instances[replaced] ?? {};
  return destinations ?? [one];
}

const instanceName = /^[a-z0-9][a-z0-9-]{0,62}$/;

/**
 * @throws BrambleError ERR_UPGRADE_INSTANCE for options about unknown instances, and names that are taken or invalid.
 */
export function assertInstanceOptions(facts: Pick<PlanFacts, 'instances' | 'takenNames'>, options: Wishes): void {
  const known = facts.instances.map(({ name }) => name);
  const unknown = Object.keys(options.instances).filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new BrambleError(
      'ERR_UPGRADE_INSTANCE',
      `\`instances\` contains names that are not instances of this domain: ${unknown.slice(0, 10).join(', ')}. The ` +
        `instances are: ${known.join(', ')}.`,
      { details: { unknown, known } },
    );
  }
  for (const [old, { destinations, name, host }] of Object.entries(options.instances)) {
    if (destinations === undefined || (name ?? host) === undefined) continue;
    throw new BrambleError(
      'ERR_UPGRADE_INSTANCE',
      `For ${old}, \`instances\` says both \`destinations\` and a name or host of one: say it within \`destinations\`.`,
    );
  }
  const taken = new Set(facts.takenNames);
  const wishes = Object.keys(options.instances).flatMap((old) =>
    wishesFor(options, old).map((wish) => ({ ...wish, old })),
  );
  for (const { name, host, old } of wishes) {
    if (host === '')
      throw new BrambleError(
        'ERR_UPGRADE_INSTANCE',
        `For ${old}, \`instances\` names an empty host. Name one, or none.`,
      );
    if (name === undefined) continue;
    if (!instanceName.test(name) || taken.has(name)) {
      throw new BrambleError(
        'ERR_UPGRADE_INSTANCE',
        taken.has(name)
          ? `The name ${name} is already taken. Choose another one in \`instances\`.`
          : `${name} is not a valid instance name: use lower-case letters, digits and hyphens.`,
        { details: { name } },
      );
    }
    taken.add(name);
  }
}

/** A new instance for each old one, or as many as are asked for, each with as many connection services: these belong to one instance. */
export function planInstances(
  facts: Pick<PlanFacts, 'instances' | 'takenNames'> & { target: Pick<PlanFacts['target'], 'release'> },
  options: Wishes,
): PlannedInstance[] {
  const wishes = facts.instances.flatMap((instance) =>
    wishesFor(options, instance.name).map((wish) => ({ instance, wish })),
  );
  const taken = new Set([...facts.takenNames, ...wishes.flatMap(({ wish }) => wish.name ?? [])]);
  return wishes.map(({ instance, wish }) => {
    return {
      name: wish.name ?? freeName(instance.name, facts.target.release, taken),
      replaces: instance.name,
      host: wish.host ?? instance.host,
      ...(wish.share === undefined ? {} : { share: wish.share }),
      connectionServices: instance.connectionServices.map((service) => ({
        name: freeName(service, facts.target.release, taken),
        replaces: service,
      })),
    };
  });
}

/** `east` becomes `east-1-1`, and that `east-1-2` in the next upgrade; a letter follows if the name is taken. */
export function freeName(name: string, release: string, taken: Set<string>): string {
  const { major, minor } = parseRelease(release);
  const plain = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const base =
    plain
      .replace(/-\d+-\d+(-z*[a-z])?$/, '')
      .slice(0, 45)
      .replace(/-+$/, '') || 'instance';
  const stem = `${base}-${major}-${minor}`;
  for (let attempt = 0; ; attempt++) {
    const candidate = attempt === 0 ? stem : `${stem}-${letterOf(attempt)}`;
    if (!taken.has(candidate)) {
      taken.add(candidate);
      return candidate;
    }
  }
}

/** b, c … z, then zb, zc …: the second with a name gets b. */
function letterOf(attempt: number): string {
  return 'z'.repeat(Math.floor((attempt - 1) / 25)) + String.fromCharCode(98 + ((attempt - 1) % 25));
}
