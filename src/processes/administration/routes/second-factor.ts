/** Of whom a second factor is asked. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { holdRole } from '../../../access/roles.ts';
import {
  readSecondFactorRule,
  secondFactorSetting,
  whoLacksFactor,
  writeSecondFactorRule,
} from '../../../access/sign-in/second-factor-rule.ts';
import { type ShownSecondFactorRule, secondFactorOperations } from '../../../api/second-factor.ts';
import type { Queryable } from '../../../database/connection.ts';
import { recordEvent } from '../../../domain/events.ts';
import { answerEtag, refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

const row = { table: 'setting', key: secondFactorSetting } as const;

export function secondFactorRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, secondFactorOperations.show, async (_request, reply) => {
      await answerEtag(context.db, reply, row);
      return await shown(context.db);
    });

    serve(app, secondFactorOperations.change, async (request) => {
      const actor = actorOf(request);
      const { everybody } = request.body;
      const roles = [...new Set(request.body.roles)].sort();
      return await write(context, async (tx) => {
        await refuseStale(tx, request, row);
        for (const role of roles) await holdRole(tx, role);
        await writeSecondFactorRule(tx, { everybody, roles }, actor.session);
        const whom = everybody ? 'everybody' : roles.length === 0 ? 'nobody' : roles.join(', ');
        const message = `${actor.name} changed of whom a second factor is asked: ${whom}`;
        await recordEvent(tx, { kind: 'second-factor-changed', message, detail: { everybody, roles } });
        return await shown(tx);
      });
    });
  };
}

async function shown(q: Queryable): Promise<ShownSecondFactorRule> {
  return { ...(await readSecondFactorRule(q)), lacking: await whoLacksFactor(q) };
}
