/** A plan that puts accounts on a host that is being drained: said when it is made, and refused when it is started. Pure. */
import type { PlannedInstance } from '../../api/upgrade-plan.ts';

/** Undefined if there is nothing to say. */
export function drainedText(
  instances: readonly Pick<PlannedInstance, 'name' | 'host'>[],
  draining: readonly string[],
): string | undefined {
  const there = instances.filter(({ host }) => draining.includes(host));
  const [first] = there;
  if (first === undefined) return undefined;
  const named = there.map(({ name, host }) => `${name} on ${host}`).join(', ');
  return (
    `Accounts would move to a host that is being drained: ${named}. Let it be used again (\`bramble host drain ${first.host} --off\`), ` +
    `which is enough; or move the accounts that are there away (\`bramble host drain ${first.host} --to INSTANCE\`) and plan again ` +
    '(`bramble upgrade plan … --replace`).'
  );
}
