/** Signing in and out over REST: on either side of the release fence. */
import type { FastifyPluginAsync } from 'fastify';
import { signInOperations } from '../../api/sign-in.ts';
import { BrambleError } from '../../base/errors.ts';
import { serve } from '../../rest/serve.ts';
import { actorOf } from '../actor.ts';
import type { SignInDesk } from '../sign-in/desk.ts';
import { type Asking, assertOwnPage } from '../sign-in/own-pages.ts';
import { isOutdated } from '../sign-in/password.ts';
import { checkPassword } from '../sign-in/password-sign-in.ts';
import { endSession } from '../sign-in/sessions.ts';
import { assertUnchanged, refreshPassword } from '../sign-in/signing-in.ts';
import { openSession } from '../sign-in/start-session.ts';
import { giveTryBack } from '../sign-in/try-limits.ts';

export function signInRoutes(desk: SignInDesk): FastifyPluginAsync {
  return async (app) => {
    serve(app, signInOperations.password, async (request, reply) => {
      await assertUsable(desk, request);
      const { found, trying } = await checkPassword(desk, request, reply, request.body);
      const password = isOutdated(found.password)
        ? await desk.passwords.digest(request.body.password, trying.network)
        : null;
      await openSession(desk, request, reply, { name: found.name, method: 'password' }, async (tx) => {
        await assertUnchanged(tx, found.id, found.password);
        await giveTryBack(tx, trying);
        if (password !== null) await refreshPassword(tx, found.id, found.password, password);
        return found.id;
      });
      return { next: null };
    });

    serve(app, signInOperations.signOut, async (request, reply) => {
      const { session } = actorOf(request);
      desk.cookies.clear(reply, 'session');
      if (session === null) return;
      await desk.write(async (tx) => void (await endSession(tx, session, null)));
    });
  };
}

/** @throws BrambleError ERR_ORIGIN, ERR_STATE */
export async function assertUsable(desk: SignInDesk, request: Asking): Promise<void> {
  assertOwnPage(request, desk.names);
  if (await desk.isOpen()) return;
  throw new BrambleError(
    'ERR_STATE',
    'The domain has no administrators yet: it is on its way from a release without them. Use a token until the upgrade has expanded the schema.',
  );
}
