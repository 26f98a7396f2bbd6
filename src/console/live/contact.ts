/**
 * Asking the service, and how long ago it answered: what is shown is as old as that. One fact for the whole page, so that
 * everything that is stale says the same.
 */
import { useSyncExternalStore } from 'react';
import { createAdministrationClient } from '../../api/client.ts';
import type { AnswerOf, Operation, RequestOf } from '../../api/operation.ts';
import { unattendedHeader } from '../../api/sign-in.ts';
import type { ErrorCode } from '../../base/error-codes.ts';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import { words } from '../messages/words.ts';
import { isAttended } from './presence.ts';

type Contact =
  | { readonly state: 'unknown' | 'good' }
  /** Nobody answers, or one who cannot say what was asked for: the coordinator of an upgrade. */
  | { readonly state: 'lost' | 'fenced'; readonly since: number }
  /** @property byChoice he signed out here, and nothing of his is kept */
  | { readonly state: 'signed-out'; readonly byChoice: boolean };

const client = createAdministrationClient({
  // The service that has sent the page, and no other; a cookie says who asks.
  choose: async (passOver) => {
    if (passOver.size === 0) return { url: '', token: '' };
    throw new BrambleError('ERR_ADMIN_UNREACHABLE', words.notAnswering);
  },
  timeoutMs: 15_000,
  fetch: async (input, init) => {
    const headers = new Headers(init?.headers);
    if (!isAttended()) headers.set(unattendedHeader, 'true');
    return await fetch(input, { ...init, headers });
  },
});

let contact: Contact = { state: 'unknown' };
let answeredAt = Date.now();
const listeners = new Set<() => void>();

function note(next: Contact): void {
  const isNews = next.state !== contact.state || (next.state === 'signed-out' && next.byChoice);
  if (!isNews) return;
  contact = next;
  for (const listener of listeners) listener();
}

export function useContact(): Contact {
  return useSyncExternalStore(onContact, () => contact);
}

export function onContact(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export type Ask = typeof ask;

/**
 * What a form or button changes is asked with what its work is given, so that it is done once.
 * @param key the idempotency key of an attempt before
 * @throws AnsweredError, or BrambleError ERR_ADMIN_UNREACHABLE, ERR_ADMIN_ANSWER
 */
export async function ask<Op extends Operation>(
  operation: Op,
  request: RequestOf<Op>,
  key?: string,
): Promise<AnswerOf<Op>> {
  try {
    const answer = await client.call(operation, request, key);
    answeredAt = Date.now();
    if (saysMore(operation)) note({ state: 'good' });
    return answer;
  } catch (error) {
    if (isBrambleError(error, 'ERR_RELEASE_FENCED')) note({ state: 'fenced', since: answeredAt });
    else if (isSessionOver(error) && operation.right !== 'open') note({ state: 'signed-out', byChoice: false });
    if (!isBrambleError(error, 'ERR_ADMIN_UNREACHABLE')) throw error;
    note({ state: 'lost', since: answeredAt });
    const message = operation.method === 'GET' ? words.notAnswering : words.unknownWhetherDone;
    throw new BrambleError('ERR_ADMIN_UNREACHABLE', message, { cause: error });
  }
}

/** Anybody is answered what is open, and the coordinator answers who is signed in: neither says that all is well again. */
function saysMore({ right }: Operation): boolean {
  return right !== 'open' && (right !== 'signed-in' || contact.state !== 'fenced');
}

/** Not every 401: a wrong code, password or proof is answered by one too, and ends nothing. */
const sessionOver: readonly ErrorCode[] = ['ERR_SESSION_ENDED', 'ERR_TOKEN_MISSING', 'ERR_TOKEN_INVALID'];

function isSessionOver(error: unknown): boolean {
  return isBrambleError(error) && sessionOver.includes(error.code);
}

/** The session was ended here. */
export function noteSignedOut(): void {
  note({ state: 'signed-out', byChoice: true });
}

export function isSignedOut(): boolean {
  return contact.state === 'signed-out';
}
