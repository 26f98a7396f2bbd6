/** One's own passkeys: added, listed and removed. */
import type { FastifyPluginAsync } from 'fastify';
import { signedInActor } from '../../../access/actor.ts';
import { holdOwnAccess } from '../../../access/administrators.ts';
import { assertSignsInHere } from '../../../access/openid/identities.ts';
import type { SignInDesk } from '../../../access/sign-in/desk.ts';
import { insertPasskey, listPasskeys, removePasskey } from '../../../access/sign-in/own-passkeys.ts';
import {
  beginCeremony,
  ceremonyTimeoutMs,
  takeCeremony,
  userHandleOf,
} from '../../../access/sign-in/passkey-ceremony.ts';
import { removeOwnFactor } from '../../../access/sign-in/second-factor-rule.ts';
import { noteSecondFactor } from '../../../access/sign-in/sessions.ts';
import { readOwnDetails } from '../../../access/sign-in/signing-in.ts';
import { endStep } from '../../../access/sign-in/steps.ts';
import { passkeyAlgorithms, readRegistration } from '../../../access/sign-in/webauthn.ts';
import { passkeyOperations } from '../../../api/passkeys.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Transaction } from '../../../database/connection.ts';
import { readDomain } from '../../../domain/domain.ts';
import { serve } from '../../../rest/serve.ts';

export function ownPasskeyRoutes(desk: SignInDesk): FastifyPluginAsync {
  return async (app) => {
    serve(app, passkeyOperations.list, async (request) => ({
      passkeys: await listPasskeys(desk.db, signedInActor(request).id),
    }));

    serve(app, passkeyOperations.addOptions, async (request, reply) => {
      const actor = signedInActor(request);
      await assertSignsInHere(desk.db, actor.name);
      const { challenge, rpId } = await beginCeremony(desk, request, reply, 'new-passkey', actor.id);
      const own = await readOwnDetails(desk.db, actor.id);
      const present = await listPasskeys(desk.db, actor.id);
      return {
        challenge,
        rp: { id: rpId, name: `Bramble ${(await readDomain(desk.db)).name}` },
        user: { id: userHandleOf(actor.id), name: actor.name, displayName: own?.displayName || actor.name },
        pubKeyCredParams: passkeyAlgorithms.map((alg) => ({ type: 'public-key' as const, alg })),
        timeout: ceremonyTimeoutMs,
        attestation: 'none',
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        excludeCredentials: present.map(({ credential, transports }) => {
          return { type: 'public-key' as const, id: credential.toString('base64url'), transports };
        }),
      };
    });

    serve(app, passkeyOperations.add, async (request, reply) => {
      const actor = signedInActor(request);
      const ceremony = await takeCeremony(desk, request, 'new-passkey');
      const { name, credential } = request.body;
      const read = readRegistration(credential, ceremony);
      const made = await desk.write(async (tx) => {
        await holdOwnAccess(tx, actor.id);
        const own = ceremony.administratorId === actor.id && (await endStep(tx, ceremony.stepId));
        const added = own
          ? await insertPasskey(tx, { ...read, administratorId: actor.id, rpId: ceremony.rpId, name })
          : undefined;
        if (added === undefined) throw new BrambleError('ERR_PASSKEY', 'This passkey was added already. Begin again.');
        await noteSecondFactor(tx, actor.session);
        return added;
      });
      desk.cookies.clear(reply, 'step');
      return made;
    });

    serve(app, passkeyOperations.remove, async (request) => {
      const actor = signedInActor(request);
      const { id } = request.params;
      const remove = async (tx: Transaction) => {
        if (!(await removePasskey(tx, id, actor.id))) throw notFound('passkey', id);
      };
      await desk.write(async (tx) => await removeOwnFactor(tx, actor.id, async () => await remove(tx)));
    });
  };
}
