/**
 * Which identifiers may link, as a state machine without I/O: refused rivals are counted, and too many of them in a
 * minute suspend the identifier until an administrator clears it; revoked certificates never link.
 *
 * Invariant: what suspends or revokes survives a restart (`snapshot` goes to disk), and an older list never replaces a
 * newer one.
 */
import { normalSerial, type RevocationList } from '../link/messages.ts';

/** Refused rivals of one identifier within a minute that suspend it. */
export const suspendAfter = 5;
const windowMs = 60_000;

export interface AdmissionSnapshot {
  list: RevocationList | null;
  suspended: { identifier: string; at: string }[];
}

export class Admission {
  readonly #rivals = new Map<string, number[]>();
  readonly #suspended = new Map<string, string>();
  #list: RevocationList | null;
  #revoked = new Set<string>();

  constructor(snapshot: AdmissionSnapshot = { list: null, suspended: [] }) {
    this.#list = snapshot.list;
    this.#indexRevoked();
    for (const { identifier, at } of snapshot.suspended) this.#suspended.set(identifier, at);
  }

  snapshot(): AdmissionSnapshot {
    return { list: this.#list, suspended: [...this.#suspended].map(([identifier, at]) => ({ identifier, at })) };
  }

  isRevoked(serial: string): boolean {
    return this.#revoked.has(normalSerial(serial));
  }

  isSuspended(identifier: string): boolean {
    return this.#suspended.has(identifier);
  }

  /** Counts a refused rival; true when this one suspended the identifier. */
  countRival(identifier: string, nowMs: number): boolean {
    const recent = (this.#rivals.get(identifier) ?? []).filter((at) => nowMs - at < windowMs);
    recent.push(nowMs);
    this.#rivals.set(identifier, recent);
    if (recent.length < suspendAfter || this.#suspended.has(identifier)) return false;
    this.#suspended.set(identifier, new Date(nowMs).toISOString());
    return true;
  }

  /**
   * Takes a verified list if its number is higher. A clearing counts in the first list that carries it, so that no
   * clock of another host decides.
   */
  take(list: RevocationList): boolean {
    if (this.#list && list.number <= this.#list.number) return false;
    const seen = new Set(this.#list?.cleared.map(clearingKey));
    for (const clearing of list.cleared) {
      if (seen.has(clearingKey(clearing))) continue;
      this.#suspended.delete(clearing.identifier);
      this.#rivals.delete(clearing.identifier);
    }
    this.#list = list;
    this.#indexRevoked();
    return true;
  }

  #indexRevoked(): void {
    this.#revoked = new Set(this.#list?.revoked.map(({ serial }) => normalSerial(serial)));
  }
}

function clearingKey(clearing: { identifier: string; at: string }): string {
  return `${clearing.identifier} ${clearing.at}`;
}
