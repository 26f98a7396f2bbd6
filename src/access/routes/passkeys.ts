/** Signing in, and proving who is there, by passkey: on either side of the release fence. */
import type { FastifyPluginAsync } from 'fastify';
import { passkeyOperations } from '../../api/passkeys.ts';
import { BrambleError } from '../../base/errors.ts';
import { serve } from '../../rest/serve.ts';
import { signedInActor } from '../actor.ts';
import type { SignInDesk } from '../sign-in/desk.ts';
import { beginCeremony, ceremonyTimeoutMs, checkPasskey } from '../sign-in/passkey-ceremony.ts';
import { notePasskeyUse } from '../sign-in/passkeys.ts';
import { noteProof } from '../sign-in/sessions.ts';
import { giveSession, openSession } from '../sign-in/start-session.ts';
import { endStep } from '../sign-in/steps.ts';
import { assertUsable } from './sign-in.ts';

export function passkeyRoutes(desk: SignInDesk): FastifyPluginAsync {
  return async (app) => {
    serve(app, passkeyOperations.signInOptions, async (request, reply) => {
      await assertUsable(desk, request);
      const { challenge, rpId } = await beginCeremony(desk, request, reply, 'passkey', null);
      return { challenge, rpId, timeout: ceremonyTimeoutMs, userVerification: 'required', allowCredentials: [] };
    });

    serve(app, passkeyOperations.signIn, async (request, reply) => {
      await assertUsable(desk, request);
      const { found, stepId, signCount } = await checkPasskey(desk, request, request.body);
      await openSession(desk, request, reply, found.name, async (tx) => {
        if (!(await endStep(tx, stepId)) || !(await notePasskeyUse(tx, found.id, signCount))) throw usedUp();
        // The authenticator has verified who is there.
        return { administratorId: found.administratorId, method: 'passkey', secondFactor: true };
      });
      desk.cookies.clear(reply, 'step');
      return { next: null };
    });

    serve(app, passkeyOperations.prove, async (request, reply) => {
      const { id, session } = signedInActor(request);
      const { found, stepId, signCount } = await checkPasskey(desk, request, request.body);
      if (found.administratorId !== id) throw new BrambleError('ERR_PASSKEY', 'The passkey is somebody else’s.');
      const secret = await desk.write(async (tx) => {
        if (!(await endStep(tx, stepId)) || !(await notePasskeyUse(tx, found.id, signCount))) throw usedUp();
        return await noteProof(tx, session, true);
      });
      giveSession(desk, reply, secret);
      desk.cookies.clear(reply, 'step');
    });
  };
}

/** The same answer of an authenticator a second time, or a passkey that was removed meanwhile. */
function usedUp(): BrambleError {
  return new BrambleError('ERR_PASSKEY', 'The passkey was used for this already, or was removed. Begin again.');
}
