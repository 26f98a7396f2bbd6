/** For tests: the upgrade's operations as an administration service has them, which plans. */
import { fastify } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { allRights, type Right } from '../../api/rights.ts';
import type { ExpectedTimes } from '../../api/upgrade-report.ts';
import type { Database, Transaction } from '../../database/connection.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { errorAnswer } from '../../rest/http-errors.ts';
import { upgradeRoutes } from './routes.ts';

const ada = { kind: 'legacy-token', id: '1', name: 'ada' } as const;

interface Planned {
  code?: string;
  message?: string;
  state?: string;
  expected?: ExpectedTimes;
}

interface PlanningService {
  /** Default: a plan. */
  post(body: object, url?: string): Promise<Planned>;
  close(): Promise<void>;
}

/** @param rights of who asks */
export async function startPlanningService(
  db: Database,
  home: string,
  rights: readonly Right[] = allRights,
): Promise<PlanningService> {
  const app = fastify();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, _request, reply) => {
    const { status, ...body } = errorAnswer(error);
    return reply.status(status).send(body);
  });
  const write = async <Result>(work: (tx: Transaction) => Promise<Result>) =>
    (await db.begin((tx) => work(tx))) as Result;
  app.decorateRequest('administrator', 'ada');
  app.decorate('guard', () => async (request) => {
    request.actor = { ...ada, rights: new Set(rights), groups: null, session: null, provenAt: null, owes: null };
  });
  const platforms = registeredPlatforms;
  await app.register(
    upgradeRoutes({ db, home, host: 'here', features: [], platforms, write, planning: true, assignment: false }),
  );
  return {
    post: async (body, url = '/upgrade/plan') =>
      (await app.inject({ method: 'POST', url, payload: body })).json<Planned>(),
    close: async () => await app.close(),
  };
}
