/**
 * Looks up names that strangers have chosen, as the system does it, `/etc/hosts` included: targets of tunnels, and webhooks. The system
 * keeps a thread until it has an answer, and nothing ends that before.
 *
 * Invariants: such names never occupy all threads that look names up, so one of the domain's own (the database, a router) always finds
 * one; and whoever asks for names that are slow to answer keeps no thread from others.
 */
import { lookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';

export interface NameAddress {
  readonly address: string;
  readonly family: number;
}

type Lookup = (name: string) => Promise<readonly NameAddress[]>;

/** `asker`: who chose the name. Rejects as the lookup does, or with the signal's reason when that comes first. */
export type NameLookups = (name: string, asker: string, signal: AbortSignal) => Promise<readonly NameAddress[]>;

/**
 * Of a process. libuv looks names up on half of them at most, so eight at once; files and digests have the others
 * (https://docs.libuv.org/en/v1.x/threadpool.html).
 */
export const threadPoolSize = 16;

const lookupsAtOnce = 6;
const lookupsOfOneAsker = 2;

export const systemAddresses: Lookup = (name) => lookup(name, { all: true });

/** For `net.connect`. */
export function lookupBy(find: Lookup): LookupFunction {
  return (name, { all }, done) => {
    find(name).then(
      (found) => {
        const [first] = found;
        if (first === undefined) done(new Error(`${name} has no address`), '');
        else if (all === true) done(null, [...found]);
        else done(null, first.address, first.family);
      },
      (error: Error) => done(error, ''),
    );
  };
}

export function createNameLookups(look: Lookup = systemAddresses): NameLookups {
  /** Shared by all who ask for the same name. */
  const underWay = new Map<string, { asker: string; found: Promise<readonly NameAddress[]> }>();
  const waiting = new Set<{ name: string; asker: string; go: (found: Promise<readonly NameAddress[]>) => void }>();

  function begin(name: string, asker: string): Promise<readonly NameAddress[]> | null {
    const shared = underWay.get(name);
    if (shared !== undefined) return shared.found;
    const own = [...underWay.values()].filter((one) => one.asker === asker);
    if (underWay.size >= lookupsAtOnce || own.length >= lookupsOfOneAsker) return null;
    const found = look(name).finally(() => {
      underWay.delete(name);
      beginWaiting();
    });
    underWay.set(name, { asker, found });
    return found;
  }

  function beginWaiting(): void {
    for (const one of waiting) {
      const found = begin(one.name, one.asker);
      if (found === null) continue;
      waiting.delete(one);
      one.go(found);
    }
  }

  return (name, asker, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const one = { name, asker, go: (found: Promise<readonly NameAddress[]>) => void found.then(resolve, reject) };
      const onAbort = () => {
        waiting.delete(one);
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const found = begin(name, asker);
      if (found === null) waiting.add(one);
      else one.go(found);
    });
}
