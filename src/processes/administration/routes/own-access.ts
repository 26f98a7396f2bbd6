/** One-time codes taken and passwords chosen: not at the coordinator, where one signs in with what one has. */
import type { FastifyPluginAsync } from 'fastify';
import { signedInActor } from '../../../access/actor.ts';
import { insertAdministrator, setPassword } from '../../../access/administrators.ts';
import { assertSignsInHere } from '../../../access/openid/identities.ts';
import { assertUsable } from '../../../access/routes/sign-in.ts';
import type { SignInDesk } from '../../../access/sign-in/desk.ts';
import { type FoundCode, findCode, useCode } from '../../../access/sign-in/one-time-code.ts';
import { assertGoodPassword } from '../../../access/sign-in/password-rules.ts';
import { checkPassword } from '../../../access/sign-in/password-sign-in.ts';
import { assertProven } from '../../../access/sign-in/proof.ts';
import { makeRecoveryCodes, removeRecoveryCodes } from '../../../access/sign-in/recovery-codes.ts';
import { endSessionsOf, noteProof } from '../../../access/sign-in/sessions.ts';
import { readOwnDetails } from '../../../access/sign-in/signing-in.ts';
import { openSession } from '../../../access/sign-in/start-session.ts';
import { askTotp, beginTotp, removeTotp, takeTotp } from '../../../access/sign-in/totp.ts';
import { takeTryOf, tryingCodes, tryingOf } from '../../../access/sign-in/tries.ts';
import { giveTryBack } from '../../../access/sign-in/try-limits.ts';
import { signInOperations } from '../../../api/sign-in.ts';
import { addressGroup } from '../../../base/address-group.ts';
import { BrambleError } from '../../../base/errors.ts';
import { fieldError } from '../../../base/field-error.ts';
import type { Transaction } from '../../../database/connection.ts';
import { readDomain } from '../../../domain/domain.ts';
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
      const digest = await desk.passwords.digest(password, addressGroup(request.ip));
      await openSession(desk, request, reply, name, async (tx) => {
        const used = await useCode(tx, code);
        if (used === undefined) throw codeRefused();
        const administratorId = await administratorOf(tx, used, name, displayName);
        await setPassword(tx, administratorId, digest);
        return { administratorId, method: 'code' };
      });
      return { next: null };
    });

    serve(app, signInOperations.setPassword, async (request, reply) => {
      const { id, name, session } = signedInActor(request);
      const { current, password } = request.body;
      const { trying } = await checkPassword(desk, request, reply, { name, password: current });
      assertGoodPassword(password, [name, 'bramble']);
      const digest = await desk.passwords.digest(password, trying.network);
      const secret = await desk.write(async (tx) => {
        await giveTryBack(tx, trying);
        await setPassword(tx, id, digest, session);
        return await noteProof(tx, session);
      });
      desk.cookies.set(reply, 'session', secret);
    });

    serve(app, signInOperations.beginTotp, async (request) => {
      const actor = signedInActor(request);
      assertProven(actor);
      await assertSignsInHere(desk.db, actor.name);
      const { name: domain } = await readDomain(desk.db);
      const keys = await desk.masterKeys();
      const begun = await desk.write((tx) => beginTotp(tx, keys, { id: actor.id, name: actor.name, domain }));
      if (begun !== null) return begun;
      throw new BrambleError('ERR_CONFLICT', 'An authenticator is asked for already: remove that first.');
    });

    serve(app, signInOperations.confirmTotp, async (request, reply) => {
      const { id, name, session } = signedInActor(request);
      const trying = tryingCodes(await tryingOf(desk, request, name), id);
      await takeTryOf(desk, reply, trying);
      const keys = await desk.masterKeys();
      const recoveryCodes = await desk.write(async (tx) => {
        if (!(await takeTotp(tx, keys, id, request.body.code))) {
          throw new BrambleError(
            'ERR_SIGN_IN',
            'The code is wrong. Check that the clock of the authenticator is right.',
          );
        }
        await giveTryBack(tx, trying);
        await askTotp(tx, id);
        await endSessionsOf(tx, id, session);
        return await makeRecoveryCodes(tx, id, name);
      });
      return { recoveryCodes };
    });

    serve(app, signInOperations.removeTotp, async (request) => {
      const actor = signedInActor(request);
      assertProven(actor);
      await desk.write(async (tx) => {
        await removeTotp(tx, actor.id);
        await removeRecoveryCodes(tx, actor.id);
      });
    });

    serve(app, signInOperations.renewRecoveryCodes, async (request) => {
      const actor = signedInActor(request);
      assertProven(actor);
      const own = await readOwnDetails(desk.db, actor.id);
      if (own?.asksTotp !== true) {
        throw new BrambleError('ERR_CONFLICT', 'Recovery codes stand in for an authenticator, and none is asked for.');
      }
      return { recoveryCodes: await desk.write((tx) => makeRecoveryCodes(tx, actor.id, actor.name)) };
    });
  };
}

/** He of the code, or the first one, whom it makes. */
async function administratorOf(tx: Transaction, used: FoundCode, name: string, displayName: string): Promise<string> {
  if (used.administratorId !== null) return used.administratorId;
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
