/** Which accounts of an upgrade the figures of a gate are about, and from when on. */
import type { UpgradeId } from '../../base/ids.ts';
import type { Absence, Replacement } from '../state/upgrade-plan.ts';

export interface SampleScope {
  upgradeId: UpgradeId;
  /** In place: which instances are replaced, in which wave and when; otherwise null. */
  replacements: readonly Replacement[] | null;
  /** One wave, or all. */
  wave: number | null;
  /**
   * From when on moved accounts count: as soon as they are there (without latencies, since what the move causes takes
   * longer, and without warm-up), or once their deliveries are answered.
   */
  since: 'committed' | 'settled';
  /** When instances were away with their hosts: what devices were told then, and that they were, does not count. */
  absences?: readonly Absence[];
  baselineHours: number;
  /** Since the first account is at a new instance. */
  warmUpSeconds: number;
}
