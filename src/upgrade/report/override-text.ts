/** The override of a check's warning in words. */
import type { CheckResult } from '../../api/upgrade-plan.ts';
import { timeText } from '../../base/time-text.ts';

/** `overridden by ada, 2026-11-27 08:10:00Z`; undefined for one that was not. */
export function overrideText({
  result,
  overriddenBy,
  overriddenAt,
}: Pick<CheckResult, 'overriddenBy' | 'overriddenAt'> & { readonly result: string }): string | undefined {
  if (result !== 'overridden') return undefined;
  const by = overriddenBy === undefined ? '' : ` by ${overriddenBy}`;
  return `overridden${by}${overriddenAt === undefined ? '' : `, ${timeText(overriddenAt)}`}`;
}
