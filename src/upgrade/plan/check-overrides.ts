/**
 * Warnings that operators overrode, each with who did and when. An override holds while its check warns: overriding a
 * further one repeats none. What passes meanwhile, or is planned anew, is decided anew. Pure.
 */
import type { CheckResult } from '../../api/upgrade-plan.ts';

/** The last start, as its row has it. */
interface Start {
  /** Names of the checks whose warnings it overrides. */
  readonly overrides: readonly string[];
  readonly by: string | undefined;
  readonly at: Date;
}

/**
 * A warning that was overridden by name no longer counts. An error cannot be overridden, and the name of an
 * unknown check is an error too: the release that took the request may not know the checks of this one.
 */
export function withOverrides(
  results: readonly CheckResult[],
  start: Start,
  earlier: readonly CheckResult[] = [],
): CheckResult[] {
  const names = results.map(({ name }) => name);
  const unknown = start.overrides.filter((name) => !names.includes(name));
  const overridden = results.map((check) => overriddenCheck(check, start, earlier));
  if (unknown.length === 0) return overridden;
  const message = `There is no check named ${unknown.join(', ')}. The checks are: ${names.join(', ')}.`;
  return [...overridden, { name: 'overrides', result: 'error', message }];
}

function overriddenCheck(check: CheckResult, start: Start, earlier: readonly CheckResult[]): CheckResult {
  const isNamed = start.overrides.includes(check.name);
  if (check.result === 'error' && isNamed) {
    return { ...check, message: `${check.message} (an error cannot be overridden)` };
  }
  if (check.result !== 'warning') return check;
  const before = earlier.find(({ name, result }) => name === check.name && result === 'overridden');
  if (before === undefined && !isNamed) return check;
  const { overriddenBy = start.by, overriddenAt = start.at.toISOString() } = before ?? {};
  return { ...check, result: 'overridden', ...(overriddenBy === undefined ? {} : { overriddenBy }), overriddenAt };
}
