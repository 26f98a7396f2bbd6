/** One's own authenticator: set up, removed, and the recovery codes that stand in for it. */
import type { FastifyPluginAsync } from 'fastify';
import { signedInActor } from '../../../access/actor.ts';
import { holdOwnAccess } from '../../../access/administrators.ts';
import { assertSignsInHere } from '../../../access/openid/identities.ts';
import type { SignInDesk } from '../../../access/sign-in/desk.ts';
import { makeRecoveryCodes, removeRecoveryCodes } from '../../../access/sign-in/recovery-codes.ts';
import { removeOwnFactor } from '../../../access/sign-in/second-factor-rule.ts';
import { endSessionsOf, noteSecondFactor } from '../../../access/sign-in/sessions.ts';
import { readOwnDetails } from '../../../access/sign-in/signing-in.ts';
import { askTotp, beginTotp, removeTotp, takeTotp } from '../../../access/sign-in/totp.ts';
import { takeTryOf, tryingCodes, tryingOf } from '../../../access/sign-in/tries.ts';
import { giveTryBack } from '../../../access/sign-in/try-limits.ts';
import { signInOperations } from '../../../api/sign-in.ts';
import { BrambleError } from '../../../base/errors.ts';
import { readDomain } from '../../../domain/domain.ts';
import { serve } from '../../../rest/serve.ts';

export function ownTotpRoutes(desk: SignInDesk): FastifyPluginAsync {
  return async (app) => {
    serve(app, signInOperations.beginTotp, async (request) => {
      const actor = signedInActor(request);
      await assertSignsInHere(desk.db, actor.name);
      const { name: domain } = await readDomain(desk.db);
      const keys = await desk.masterKeys();
      const begun = await desk.write(async (tx) => {
        await holdOwnAccess(tx, actor.id);
        return await beginTotp(tx, keys, { id: actor.id, name: actor.name, domain });
      });
      if (begun !== null) return begun;
      throw new BrambleError('ERR_CONFLICT', 'An authenticator is asked for already: remove that first.');
    });

    serve(app, signInOperations.confirmTotp, async (request, reply) => {
      const actor = signedInActor(request);
      const { id, name, session } = actor;
      const trying = tryingCodes(await tryingOf(desk, request, name), id);
      await takeTryOf(desk, reply, trying);
      const keys = await desk.masterKeys();
      const recoveryCodes = await desk.write(async (tx) => {
        await holdOwnAccess(tx, actor.id);
        if (!(await takeTotp(tx, keys, id, request.body.code))) {
          throw new BrambleError(
            'ERR_SIGN_IN',
            'The code is wrong. Check that the clock of the authenticator is right.',
          );
        }
        await giveTryBack(tx, trying);
        await askTotp(tx, id);
        await noteSecondFactor(tx, session);
        await endSessionsOf(tx, id, session);
        return await makeRecoveryCodes(tx, id, name);
      });
      return { recoveryCodes };
    });

    serve(app, signInOperations.removeTotp, async (request) => {
      const actor = signedInActor(request);
      await desk.write(
        async (tx) =>
          await removeOwnFactor(tx, actor.id, async () => {
            await removeTotp(tx, actor.id);
            await removeRecoveryCodes(tx, actor.id);
          }),
      );
    });

    serve(app, signInOperations.renewRecoveryCodes, async (request) => {
      const actor = signedInActor(request);
      const own = await readOwnDetails(desk.db, actor.id);
      if (own?.asksTotp !== true) {
        throw new BrambleError('ERR_CONFLICT', 'Recovery codes stand in for an authenticator, and none is asked for.');
      }
      const recoveryCodes = await desk.write(async (tx) => {
        await holdOwnAccess(tx, actor.id);
        return await makeRecoveryCodes(tx, actor.id, actor.name);
      });
      return { recoveryCodes };
    });
  };
}
