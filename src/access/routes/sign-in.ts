/** Signing in and out over REST: on either side of the release fence. */
import type { FastifyPluginAsync } from 'fastify';
import { signInOperations } from '../../api/sign-in.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Transaction } from '../../database/connection.ts';
import { serve } from '../../rest/serve.ts';
import { actorOf } from '../actor.ts';
import type { SignInDesk } from '../sign-in/desk.ts';
import { type Asking, assertOwnPage } from '../sign-in/own-pages.ts';
import { isOutdated, senderOf } from '../sign-in/password.ts';
import { checkPassword } from '../sign-in/password-sign-in.ts';
import { useCodeOf } from '../sign-in/second-factor.ts';
import { endSession } from '../sign-in/sessions.ts';
import { assertUnchanged, refreshPassword } from '../sign-in/signing-in.ts';
import { openSession } from '../sign-in/start-session.ts';
import { beginStep, endStep, takeStep } from '../sign-in/steps.ts';
import { notingFailure, takeTryOf, tryingCodes, tryingOf } from '../sign-in/tries.ts';
import { giveTryBack } from '../sign-in/try-limits.ts';

export function signInRoutes(desk: SignInDesk): FastifyPluginAsync {
  return async (app) => {
    serve(app, signInOperations.ways, async () => {
      const isOpen = await desk.isOpen();
      return { password: isOpen, passkey: isOpen, openid: isOpen ? await desk.openidProviders() : [] };
    });

    serve(app, signInOperations.password, async (request, reply) => {
      await assertUsable(desk, request);
      const { found, trying } = await checkPassword(desk, request, reply, request.body);
      const password = isOutdated(found.password)
        ? await desk.passwords.digest(request.body.password, senderOf(trying))
        : null;
      const proven = async (tx: Transaction) => {
        await assertUnchanged(tx, found.id, found.password);
        if (password !== null) await refreshPassword(tx, found.id, found.password, password);
      };
      if (found.asksTotp) {
        // The try is given back with the code: otherwise codes could be guessed without end.
        const step = await desk.note(async (tx) => {
          await proven(tx);
          return await beginStep(tx, 'second-factor', found.id);
        });
        desk.cookies.set(reply, 'step', step);
        return { next: 'totp' };
      }
      await openSession(desk, request, reply, found.name, async (tx) => {
        await proven(tx);
        await giveTryBack(tx, trying);
        return { administratorId: found.id, method: 'password', secondFactor: false };
      });
      return { next: null };
    });

    serve(app, signInOperations.totp, async (request, reply) => {
      await assertUsable(desk, request);
      const cookie = desk.cookies.read(request, 'step');
      const step = cookie === undefined ? undefined : await desk.note((tx) => takeStep(tx, 'second-factor', cookie));
      const { administratorId, name } = step ?? { administratorId: null, name: null };
      if (step === undefined || administratorId === null || name === null) throw stepOver();
      const first = await tryingOf(desk, request, name);
      const codes = tryingCodes(first, administratorId);
      await takeTryOf(desk, reply, codes);
      await notingFailure(desk, first, () =>
        openSession(desk, request, reply, name, async (tx) => {
          const factor = await useCodeOf(tx, desk, administratorId, request.body.code);
          if (!(await endStep(tx, step.id))) throw stepOver();
          await giveTryBack(tx, first);
          await giveTryBack(tx, codes);
          return { administratorId, method: `password and ${factor}`, secondFactor: true };
        }),
      );
      desk.cookies.clear(reply, 'step');
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

function stepOver(): BrambleError {
  return new BrambleError(
    'ERR_SIGN_IN',
    'This sign-in took too long, or too many tries. Begin with name and password again.',
  );
}

/** @throws BrambleError ERR_ORIGIN, ERR_STATE */
export async function assertUsable(desk: SignInDesk, request: Asking): Promise<void> {
  assertOwnPage(request);
  if (await desk.isOpen()) return;
  throw new BrambleError(
    'ERR_STATE',
    'The domain has no administrators yet: it is on its way from a release without them. Use a token until the upgrade has expanded the schema.',
  );
}
