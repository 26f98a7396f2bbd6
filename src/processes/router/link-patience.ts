/**
 * Patience with a link that is expected back: its process is being replaced, or this router was, or the machine is so busy that
 * nobody answered who was asked. A device that waits a moment is served; one that is refused counts as offline.
 *
 * Invariant: only what was linked a moment ago is waited for, each request waits at most as long as that moment, and those
 * that wait at once are limited: an instance that is gone takes room from the devices of others for that moment only.
 */
import type { LinkRegistry } from './link-registry.ts';

interface LinkPatienceOptions {
  links: LinkRegistry;
  /** Milliseconds, never falling. */
  now: () => number;
  /** How long a request waits, and how long after its end a link is expected back. */
  patienceMs: number;
  /** Requests that wait at once. Default 256. */
  maxWaiting?: number;
}

/**
 * Of one request: waits for a change; false when there is nothing to wait for, or not any more. Null: for somebody who can be asked
 * where it goes; one that is linked, and did not answer in time, may do so now.
 */
type Hope = (identifiers: readonly string[] | null) => Promise<boolean>;

/** A route that was learned just before its owner changed is asked for again after a while: nobody waits for a change alone. */
const lookAgainMs = 500;

export class LinkPatience {
  readonly #options: LinkPatienceOptions;
  #waiting = 0;
  #hasEnded = false;

  constructor(options: LinkPatienceOptions) {
    this.#options = options;
  }

  /** @param deadlineMs by which the request must be answered */
  begin(deadlineMs: number): Hope {
    const { now, patienceMs } = this.#options;
    let untilMs: number | undefined;
    return async (identifiers) => {
      untilMs ??= Math.min(now() + patienceMs, deadlineMs);
      const leftMs = untilMs - now();
      return leftMs > 0 && this.#isExpected(identifiers) && (await this.#change(Math.min(leftMs, lookAgainMs)));
    };
  }

  /** While this router drains everybody links to its successor: nobody is expected here any more. */
  end(): void {
    this.#hasEnded = true;
  }

  #isExpected(identifiers: readonly string[] | null): boolean {
    if (this.#hasEnded) return false;
    const { links, patienceMs } = this.#options;
    if (identifiers === null) return links.isAnyServerExpected(patienceMs);
    return identifiers.some((identifier) => links.isExpected(identifier, patienceMs));
  }

  async #change(withinMs: number): Promise<boolean> {
    if (this.#waiting >= (this.#options.maxWaiting ?? 256)) return false;
    this.#waiting += 1;
    try {
      await this.#options.links.changed(withinMs);
      return true;
    } finally {
      this.#waiting -= 1;
    }
  }
}
