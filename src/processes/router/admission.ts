/**
 * Which identifiers may link, as a state machine without I/O: rivals of a live link are counted, and too many of them in a
 * minute suspend the identifier until an administrator clears it; revoked certificates never link.
 *
 * A rival is whoever proves the identifier while another link of it is alive: one that names another host, or one that
 * does not even say who it is. Where no link stands, nobody is a rival: a holder that is slow to answer must not suspend
 * itself. A suspension keeps out everybody but the holder that was linked when it began (host and boot), so that a stolen
 * credential cannot keep its holder from coming back after a break.
 *
 * Invariant: what suspends or revokes survives a restart (`snapshot` goes to disk), and an older list never replaces a
 * newer one.
 */
import { normalSerial, type RevocationList } from '../../link/messages.ts';

/** Rivals of one identifier within a minute that suspend it. */
export const suspendAfter = 5;
const windowMs = 60_000;

/** As a hello names them. */
export interface Holder {
  host: string;
  bootId: string;
}

export interface Suspension {
  identifier: string;
  at: string;
  /** Who was linked then; absent in what an earlier release wrote. */
  holder?: Holder | undefined;
}

export interface AdmissionSnapshot {
  list: RevocationList | null;
  suspended: Suspension[];
}

export class Admission {
  readonly #rivals = new Map<string, number[]>();
  readonly #suspended = new Map<string, Suspension>();
  #list: RevocationList | null;
  #revoked = new Set<string>();

  constructor(snapshot: AdmissionSnapshot = { list: null, suspended: [] }) {
    this.#list = snapshot.list;
    this.#indexRevoked();
    for (const suspension of snapshot.suspended) this.#suspended.set(suspension.identifier, suspension);
  }

  snapshot(): AdmissionSnapshot {
    return { list: this.#list, suspended: [...this.#suspended.values()] };
  }

  isRevoked(serial: string): boolean {
    return this.#revoked.has(normalSerial(serial));
  }

  /** Whether a suspension keeps this one out. */
  isSuspended(identifier: string, asking: Holder): boolean {
    const suspension = this.#suspended.get(identifier);
    return suspension !== undefined && !(suspension.holder && sameHolder(suspension.holder, asking));
  }

  /** Counts a rival of the holder that is linked; true when this one suspended the identifier. */
  countRival(identifier: string, holder: Holder, nowMs: number): boolean {
    const recent = (this.#rivals.get(identifier) ?? []).filter((at) => nowMs - at < windowMs);
    recent.push(nowMs);
    this.#rivals.set(identifier, recent.slice(-suspendAfter));
    if (recent.length < suspendAfter || this.#suspended.has(identifier)) return false;
    const { host, bootId } = holder;
    this.#suspended.set(identifier, { identifier, at: new Date(nowMs).toISOString(), holder: { host, bootId } });
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

/** The same boot of the same host: what may take its own place. */
export function sameHolder(a: Holder, b: Holder): boolean {
  return a.host === b.host && a.bootId === b.bootId;
}

function clearingKey(clearing: { identifier: string; at: string }): string {
  return `${clearing.identifier} ${clearing.at}`;
}
