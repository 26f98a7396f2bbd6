/** Supervisors that finalizing waits for: pure rules over what they report. */
import {
  type HostSupervisor,
  supervisorCaution,
  supervisorCommand,
  supervisorsBehind,
  supervisorText,
} from '../../registry/supervisors.ts';
import type { Upgrade } from '../state/upgrade-store.ts';

/** Those of an earlier release that no operator has excluded. Patch releases may keep running side by side. */
export function supervisorsToWaitFor(
  supervisors: readonly HostSupervisor[],
  { toRelease, progress, plan }: Pick<Upgrade, 'toRelease' | 'progress' | 'plan'>,
): HostSupervisor[] {
  if (plan.patch) return [];
  return supervisorsBehind(supervisors, toRelease).filter(({ host }) => !progress.supervisorsLeft.includes(host));
}

export function supervisorsText(supervisors: readonly Parameters<typeof supervisorText>[0][], release: string): string {
  return (
    `supervisors of an earlier release: ${supervisors.map(supervisorText).join(', ')}; on each host start that of the new ` +
    `release beside it, which takes over: \`${supervisorCommand(release)}\`. ${supervisorCaution}`
  );
}
