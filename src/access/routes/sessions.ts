/** Who asks, and sessions: listed and ended. On either side of the release fence. */
import type { FastifyPluginAsync } from 'fastify';
import { signInOperations } from '../../api/sign-in.ts';
import { notFound } from '../../base/not-found.ts';
import { serve } from '../../rest/serve.ts';
import { type Actor, actorOf, signedInActor } from '../actor.ts';
import { namesOfGroups } from '../group-names.ts';
import { assertNotAboveRole } from '../roles.ts';
import type { SignInDesk } from '../sign-in/desk.ts';
import { checkPassword } from '../sign-in/password-sign-in.ts';
import { assertProven } from '../sign-in/proof.ts';
import { useCodeOf } from '../sign-in/second-factor.ts';
import { endSession, listSessions, noteProof, ownerOfSession } from '../sign-in/sessions.ts';
import { readOwnDetails } from '../sign-in/signing-in.ts';
import { giveSession } from '../sign-in/start-session.ts';
import { notingFailure, takeTryOf, tryingCodes } from '../sign-in/tries.ts';
import { giveTryBack } from '../sign-in/try-limits.ts';

export function sessionRoutes(desk: SignInDesk): FastifyPluginAsync {
  return async (app) => {
    serve(app, signInOperations.me, async (request) => {
      const actor = actorOf(request);
      const { kind, name, session, provenAt, owes } = actor;
      const own = kind === 'administrator' ? await readOwnDetails(desk.db, actor.id) : undefined;
      return {
        ...{ name, kind, session, provenAt, owes, release: desk.release, service: desk.service },
        displayName: own?.displayName ?? null,
        role: own?.role ?? null,
        rights: [...actor.rights],
        groups: actor.groups && (await namesOfGroups(desk.db, actor.groups)),
        asksTotp: own?.asksTotp ?? false,
        provider: own?.provider ?? null,
      };
    });

    serve(app, signInOperations.prove, async (request, reply) => {
      const { id, name, session } = signedInActor(request);
      const { code, password } = request.body;
      const { found, trying } = await checkPassword(desk, request, reply, { name, password });
      const codes = tryingCodes(trying, id);
      if (found.asksTotp) await takeTryOf(desk, reply, codes);
      const secret = await notingFailure(desk, trying, () =>
        desk.write(async (tx) => {
          if (found.asksTotp) await useCodeOf(tx, desk, id, code ?? '');
          await giveTryBack(tx, trying);
          await giveTryBack(tx, codes);
          return await noteProof(tx, session, found.asksTotp);
        }),
      );
      giveSession(desk, reply, secret);
    });

    serve(app, signInOperations.listSessions, async (request) => {
      const actor = actorOf(request);
      const sessions = await listSessions(desk.db, onlyOwn(actor, 'access.read'));
      return { sessions: sessions.map((one) => ({ ...one, current: one.id === actor.session })) };
    });

    serve(app, signInOperations.endSession, async (request) => {
      const { id } = request.params;
      const actor = actorOf(request);
      await desk.write(async (tx) => {
        const owner = await ownerOfSession(tx, id);
        if (owner !== undefined && owner.id !== actor.id && actor.rights.has('access.write')) {
          assertProven(actor);
          await assertNotAboveRole(tx, actor, owner.role);
        }
        const ended = await endSession(tx, id, onlyOwn(actor, 'access.write'));
        if (!ended) throw notFound('open session', id);
      });
    });
  };
}

/** Whose sessions somebody sees or ends: all with the right, otherwise his own. */
function onlyOwn(actor: Actor, right: 'access.read' | 'access.write'): string | null {
  return actor.rights.has(right) ? null : actor.id;
}
