/**
 * Which identifiers may link, as a state machine without I/O: rivals of a live link are counted, and too many of them in a
 * minute suspend the identifier until an administrator clears it; revoked certificates never link.
 *
 * A rival proves the identifier while another link of it is alive, and names another host or sends no hello. Without a
 * live link there are no rivals: a holder that is slow to answer must not suspend itself. A suspension excludes
 * everyone but the holder that was linked when it began (host and boot), so that a stolen credential cannot prevent its
 * holder from reconnecting.
 *
 * Invariant: suspensions and revocations survive a restart (`snapshot` goes to disk), and an older list never replaces
 * a newer one.
 */
import { normalSerial, type RevocationList } from '../../link/messages.ts';

/** The number of rivals within a minute that suspends an identifier. */
export const suspendAfter = 5;
const windowMs = 60_000;

/** As named in a hello. */
interface Holder {
  host: string;
  bootId: string;
}

interface Suspension {
  identifier: string;
  at: string;
  /** The holder at that time; absent if written by an earlier release. */
  holder?: Holder | undefined;
}

interface AdmissionSnapshot {
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

  /** Whether a suspension excludes this dialler. */
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
   * Accepts a verified list if its number is higher. A clearing takes effect with the first list that carries it, so
   * that no other host's clock matters.
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

/** The same boot of the same host, which may replace its own link. */
export function sameHolder(a: Holder, b: Holder): boolean {
  return a.host === b.host && a.bootId === b.bootId;
}

function clearingKey(clearing: { identifier: string; at: string }): string {
  return `${clearing.identifier} ${clearing.at}`;
}
