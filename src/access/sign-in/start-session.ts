/** Opens a session in the browser that asked. */
import type { FastifyReply } from 'fastify';
import type { Transaction } from '../../database/connection.ts';
import type { SignInDesk } from './desk.ts';
import { rememberBrowser } from './known-browsers.ts';
import type { Asking } from './own-pages.ts';
import { newSecret, secretDigest } from './secrets.ts';
import { endSessionOfSecret, insertSession, type NewSession } from './sessions.ts';

const maxClient = 200;

/**
 * Recorded as done by who signs in. A session that the browser had before ends: nobody goes on under an earlier one. The
 * browser gets its cookies once all of it is committed.
 * @param name of who signs in. @param prove what is checked and written in the same transaction
 */
export async function openSession(
  desk: SignInDesk,
  request: Asking,
  reply: FastifyReply,
  name: string,
  prove: (tx: Transaction) => Promise<Omit<NewSession, 'address' | 'client'>>,
): Promise<void> {
  const { cookies } = desk;
  const before = cookies.read(request, 'session');
  const browser = cookies.read(request, 'browser') ?? newSecret();
  const client = (request.headers['user-agent'] ?? '').slice(0, maxClient);
  const secret = await desk.write(
    async (tx) => {
      const { administratorId, ...proven } = await prove(tx);
      if (before !== undefined) await endSessionOfSecret(tx, before);
      await rememberBrowser(tx, secretDigest(browser), administratorId);
      return await insertSession(tx, { administratorId, ...proven, address: request.ip, client });
    },
    { actor: name, from: { actorKind: 'administrator' } },
  );
  giveSession(desk, reply, secret);
  desk.known.note(browser);
  cookies.set(reply, 'browser', browser);
}

/** The secret of a session that is open, as its browser keeps it from now on. */
export function giveSession(desk: SignInDesk, reply: FastifyReply, secret: string): void {
  desk.known.note(secret);
  desk.cookies.set(reply, 'session', secret);
}
