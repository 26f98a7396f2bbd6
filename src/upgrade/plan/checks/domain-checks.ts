/** Checks of the domain at work: its components, and the moves under way. */
import { counted } from '../../../base/counted.ts';
import { isLaterPatch } from '../../../base/release-number.ts';
import { countOpenMoves } from '../../../moves/move-reports.ts';
import { listComponents } from '../../../registry/components.ts';
import type { Upgrade } from '../../state/upgrade-store.ts';
import { type CheckOptions, error, type Finding, passed, warning } from './check.ts';

export async function checkComponents({ db }: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  const components = (await listComponents(db)).filter((component) => component.kind !== 'coordinator');
  const { fromRelease, plan } = upgrade;
  // Those of an earlier patch work side by side with the domain's; a minor upgrade waits for them at its end, as for absent
  // ones.
  const earlier = components.filter(({ release }) => isLaterPatch(release, fromRelease));
  const other = components.filter((each) => each.release !== fromRelease && !earlier.includes(each));
  const named = (some: typeof components) => some.map(({ name, release }) => `${name} (${release})`).join(', ');
  if (other.length > 0) {
    return error(
      `Every component must run ${fromRelease}; these run another release: ${named(other)}. Start them from it, or ` +
        'forget them.',
    );
  }
  const absent = components.filter((component) => !component.alive).map((component) => component.name);
  const found = [
    ...(absent.length === 0 ? [] : [`Absent: ${absent.join(', ')}.`]),
    ...(earlier.length === 0 || plan.patch ? [] : [`Of an earlier patch: ${named(earlier)}.`]),
  ];
  return found.length === 0
    ? passed(`${counted(components.length, 'component is', 'components are')} alive`)
    : warning(
        `${found.join(' ')} They will block finalizing: start them from ${fromRelease}, or \`bramble component forget\`.`,
      );
}

export async function checkMoves({ db }: CheckOptions): Promise<Finding> {
  const { uncommitted, delivering } = await countOpenMoves(db);
  if (uncommitted > 0)
    return error(
      `${counted(uncommitted, 'account move is', 'account moves are')} open. Let open moves finish, or cancel them.`,
    );
  return delivering > 0
    ? warning(`${delivering} moved accounts have open deliveries; they cannot be moved again until those are settled.`)
    : passed('no account move is open');
}
