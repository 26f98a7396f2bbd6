/** One-time codes taken and passwords chosen: not at the coordinator, where one signs in with what one has. */
import type { FastifyPluginAsync } from 'fastify';
import { signedInActor } from '../../../access/actor.ts';
import { holdOwnAccess, insertAdministrator, setPassword } from '../../../access/administrators.ts';
import { assertUsable } from '../../../access/routes/sign-in.ts';
import type { SignInDesk } from '../../../access/sign-in/desk.ts';
import { findCode, useCode } from '../../../access/sign-in/one-time-code.ts';
import { senderOf } from '../../../access/sign-in/password.ts';
import { assertGoodPassword } from '../../../access/sign-in/password-rules.ts';
import { checkPassword } from '../../../access/sign-in/password-sign-in.ts';
import { noteProof, renewSecret } from '../../../access/sign-in/sessions.ts';
import { giveSession, openSession } from '../../../access/sign-in/start-session.ts';
import { beginStep } from '../../../access/sign-in/steps.ts';
import { giveTryBack } from '../../../access/sign-in/try-limits.ts';
import { signInOperations } from '../../../api/sign-in.ts';
import { addressGroup } from '../../../base/address-group.ts';
import { BrambleError } from '../../../base/errors.ts';
import { fieldError } from '../../../base/field-error.ts';
import type { Transaction } from '../../../database/connection.ts';
import { recordEvent } from '../../../domain/events.ts';
import { serve } from '../../../rest/serve.ts';

export function ownAccessRoutes(desk: SignInDesk): FastifyPluginAsync {
  return async (app) => {
    serve(app, signInOperations.lookAtCode, async (request) => {
      await assertUsable(desk, request);
      const found = await findCode(desk.db, request.body.code);
      if (found === undefined) throw codeRefused();
      return found;
    });

    serve(app, signInOperations.code, async (request, reply) => {
      await assertUsable(desk, request);
      const { code, password, displayName = '' } = request.body;
      const found = await findCode(desk.db, code);
      if (found === undefined) throw codeRefused();
      const name = found.name ?? request.body.name;
      if (name === undefined) throw fieldError('body', 'name', 'is missing: the first administrator chooses one');
      assertGoodPassword(password, [name, displayName, 'bramble']);
      const digest = await desk.passwords.digest(
        password,
        senderOf({ network: addressGroup(request.ip), browser: null }),
      );
      const takeCode = async (tx: Transaction): Promise<string> => {
        const used = await useCode(tx, code);
        if (used === undefined || used.asksTotp !== found.asksTotp) throw codeRefused();
        const administratorId = used.administratorId ?? (await makeFirst(tx, name, displayName));
        await setPassword(tx, administratorId, digest);
        return administratorId;
      };
      if (found.asksTotp) {
        const begin = async (tx: Transaction) => await beginStep(tx, 'second-factor', await takeCode(tx));
        desk.cookies.set(reply, 'step', await desk.write(begin, { actor: name, from: { actorKind: 'administrator' } }));
        return { next: 'totp' };
      }
      await openSession(desk, request, reply, name, async (tx) => {
        return { administratorId: await takeCode(tx), method: 'code', secondFactor: false };
      });
      return { next: null };
    });

    serve(app, signInOperations.setPassword, async (request, reply) => {
      const actor = signedInActor(request);
      const { id, name, session } = actor;
      const { current, password } = request.body;
      const { found, trying } = await checkPassword(desk, request, reply, { name, password: current });
      assertGoodPassword(password, [name, 'bramble']);
      const digest = await desk.passwords.digest(password, senderOf(trying));
      const secret = await desk.write(async (tx) => {
        await holdOwnAccess(tx, actor.id);
        await giveTryBack(tx, trying);
        await setPassword(tx, id, digest, { session, browser: trying.browser });
        // Where a second factor is asked for, a password alone proves nothing.
        return found.asksTotp ? await renewSecret(tx, session) : await noteProof(tx, session, false);
      });
      giveSession(desk, reply, secret);
    });
  };
}

/** His id. */
async function makeFirst(tx: Transaction, name: string, displayName: string): Promise<string> {
  const id = await insertAdministrator(tx, { name, displayName, role: 'security', groups: null, createdBy: name });
  if (id === 'name-taken') throw codeRefused();
  await recordEvent(tx, {
    kind: 'administrator-added',
    subject: name,
    message: `${name} became the first administrator`,
  });
  return id;
}

function codeRefused(): BrambleError {
  return new BrambleError(
    'ERR_ONE_TIME_CODE',
    'The one-time code is unknown, was used, or is too old. Ask for another one: `bramble administrator invite`.',
  );
}
