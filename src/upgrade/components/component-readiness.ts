/**
 * Whether desired processes are ready: alive, of the desired release, and linked to a router if they serve devices.
 * Pure rules over the registrations.
 */
import type { Component } from '../../registry/components.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';

type Seen = Pick<Component, 'name' | 'kind' | 'release' | 'alive' | 'detail'>;

/** Names of those that are not alive with `release`. */
export function notYetRunning(components: readonly Seen[], names: readonly string[], release: string): string[] {
  return names.filter(
    (name) =>
      !components.some((candidate) => candidate.name === name && candidate.alive && candidate.release === release),
  );
}

/** Names of those that are still alive. */
export function stillAlive(components: readonly Seen[], names: readonly string[]): string[] {
  return components.filter((component) => component.alive && names.includes(component.name)).map(({ name }) => name);
}

/**
 * Alive with `release`, and a process reached over links reports that one is up and that it serves: only then does its
 * supervisor consider its predecessor replaced. One of 1.1 only reports its links.
 */
export function isAtWork(
  components: readonly Seen[],
  { name, kind }: { name: string; kind: string },
  release: string,
): boolean {
  const seen = components.find((component) => component.name === name);
  if (seen === undefined || !seen.alive || seen.release !== release) return false;
  if (kind !== 'server' && kind !== 'connection') return true;
  const { links, serving } = seen.detail;
  return (
    serving !== false && Array.isArray(links) && links.some((link: unknown) => isRecord(link) && link['up'] === true)
  );
}

/** SRP identifiers without a link, as far as routers report their links; none where no router does. */
function notLinked(components: readonly Seen[], identifiers: readonly string[]): string[] {
  const reports = components
    .filter((component) => component.kind === 'router' && component.alive)
    .map((component) => component.detail['links'])
    .filter((links) => Array.isArray(links));
  if (reports.length === 0) return [];
  const linked = new Set(reports.flat().map(identifierOf));
  return identifiers.filter((identifier) => !linked.has(identifier));
}

/** Which of these instances are not ready yet, as a reason to wait; undefined when all are alive and linked. */
export function missingOf(
  newInstances: readonly Pick<NewInstance, 'processes' | 'srpIdentifiers'>[],
  components: readonly Seen[],
  release: string,
): string | undefined {
  const names = newInstances.flatMap((made) => made.processes);
  const missing = notYetRunning(components, names, release);
  if (missing.length > 0) return `processes of ${release}: ${missing.join(', ')}`;
  const unlinked = notLinked(
    components,
    newInstances.flatMap((made) => made.srpIdentifiers),
  );
  return unlinked.length > 0 ? `links to a router: ${unlinked.join(', ')}` : undefined;
}

function identifierOf(link: unknown): unknown {
  return isRecord(link) && 'identifier' in link ? link['identifier'] : link;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
