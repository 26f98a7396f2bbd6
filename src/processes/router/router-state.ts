/**
 * What a router must remember across a restart: the signed revocation list, the domain's statements about its authorities,
 * suspensions, and who was linked.
 *
 * Invariant: the file is always one complete state (written beside, synced, renamed), and a list whose signature does
 * not verify is not trusted, even from our own disk.
 */
import { mkdir, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as z from 'zod';
import { syncFolder, writeDurably } from '../../base/durable-file.ts';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { envelopeShape, identifierShape, type RevocationList, revocationListShape } from '../../link/messages.ts';
import { openEnvelope } from '../../link/signed-envelope.ts';
import { RouterTrust } from './router-trust.ts';

export const routerStateShape = z.object({
  list: envelopeShape.nullable(),
  suspended: z.array(
    z.object({
      identifier: identifierShape,
      at: z.string(),
      holder: z.object({ host: z.string(), bootId: z.string() }).optional(),
    }),
  ),
  /** Identifiers that were linked last. */
  linked: z.array(identifierShape),
  /** About authorities, in order; absent before 1.4. */
  statements: z.array(envelopeShape).optional(),
});
type RouterState = z.output<typeof routerStateShape>;

const emptyState: RouterState = { list: null, suspended: [], linked: [] };

/**
 * The state, its verified list, and what the router trusts; the empty state where there is no file yet.
 * @throws BrambleError ERR_ROUTER_STATE when the file is damaged: a router that does not know what is revoked must not
 * start.
 */
export async function readRouterState(
  path: string,
  domainAuthorityPem: string,
): Promise<{ state: RouterState; list: RevocationList | null; trust: RouterTrust }> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return { state: emptyState, list: null, trust: new RouterTrust(domainAuthorityPem, []) };
    }
    throw stateError(path, error);
  }
  try {
    const state = routerStateShape.parse(JSON.parse(text));
    const trust = new RouterTrust(domainAuthorityPem, state.statements ?? []);
    return { state, trust, list: state.list && openEnvelope(state.list, revocationListShape, trust.formerKeys) };
  } catch (error) {
    throw stateError(path, error);
  }
}

/** Replaces the file atomically; writes are sequential, and of those waiting only the newest is made. */
export function createStateFile(path: string): { save: (state: RouterState) => Promise<void> } {
  let last: Promise<void> = Promise.resolve();
  let waiting: RouterState | null = null;
  return {
    save: (state) => {
      waiting = state;
      last = last
        .catch(() => undefined)
        .then(async () => {
          if (waiting === null) return;
          const next = waiting;
          waiting = null;
          await replaceFile(path, JSON.stringify(next));
        });
      return last;
    },
  };
}

async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.${process.pid}.new`;
  await writeDurably(beside, text, { mode: 0o600 });
  await rename(beside, path);
  await syncFolder(dirname(path));
}

function stateError(path: string, cause: unknown): BrambleError {
  return new BrambleError(
    'ERR_ROUTER_STATE',
    `The router's state ${path} cannot be read (${messageOf(cause)}). It holds the revoked SRP credentials: restore ` +
      'it, or delete it if every instance can be trusted: the router then asks for the list again.',
    { cause },
  );
}
