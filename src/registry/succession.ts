/**
 * What becomes of a component whose name a successor of the same host has taken over. Invariant: it keeps running beside
 * that one, for a limited time, and takes the name back as soon as that one is gone.
 */
import type { Clock } from '../base/clock.ts';
import type { Database } from '../database/connection.ts';
import type { Logger } from '../process/log/logger.ts';
import { type Compatibility, type ComponentIdentity, listComponents, registerComponent } from './components.ts';

interface Succession {
  /** Whether the component goes on, although it no longer holds the name: false if no successor is to replace it. */
  goesOn(): Promise<boolean>;
  /** The component holds its name again. */
  reset(): void;
}

/** Longer than the time a supervisor gives a successor to serve before it ends one of the two. */
const successorPatienceMs = 120_000;

export function createSuccession(parts: {
  db: Database;
  component: ComponentIdentity;
  compatibility: Compatibility;
  clock: Clock;
  log: Logger;
}): Succession {
  const { db, component, clock, log } = parts;
  let successor: { processId: number; seenAt: number } | null = null;
  return {
    async goesOn() {
      const { name, host, bootId } = component;
      const other = (await listComponents(db)).find((candidate) => candidate.name === name);
      if (other === undefined || other.host !== host || other.bootId !== bootId) return false;
      const { processId, release } = other;
      if (!other.alive) {
        await registerComponent(db, component, parts.compatibility);
        log.warn({ processId, release }, 'the successor is gone; this process continues');
        return true;
      }
      if (successor?.processId !== processId) {
        successor = { processId, seenAt: clock.now() };
        log.info({ processId, release }, 'a successor has registered');
      }
      return clock.now() - successor.seenAt < successorPatienceMs;
    },
    reset: () => {
      successor = null;
    },
  };
}
