/** The order in which desired processes switch to the new release: a pure rule. */
import type { Component } from '../../registry/components.ts';
import type { DesiredProcess } from '../../registry/desired-processes.ts';
import { notYetRunning } from './component-readiness.ts';

type NextToReplace = { kind: 'replace'; names: string[] } | { kind: 'wait'; names: string[] } | { kind: 'none' };

/**
 * Which desired processes switch to the new release next. The emptied instances and their connection services serve
 * nobody and go together; routers serve everybody and go one by one, each once the previous one is ready. Pure.
 */
export function nextToReplace(
  desired: readonly DesiredProcess[],
  components: readonly Component[],
  release: string,
): NextToReplace {
  const replaceable = desired.filter((process) => process.kind !== 'coordinator');
  const behind = replaceable.filter((process) => process.release !== release);
  const serving = behind.filter((process) => process.kind !== 'router').map((process) => process.name);
  if (serving.length > 0) return { kind: 'replace', names: serving };
  const running = replaceable.filter((process) => process.state === 'running' && process.release === release);
  const missing = notYetRunning(
    components,
    running.map((process) => process.name),
    release,
  );
  if (missing.length > 0) return { kind: 'wait', names: missing };
  const [router] = behind;
  return router === undefined ? { kind: 'none' } : { kind: 'replace', names: [router.name] };
}
