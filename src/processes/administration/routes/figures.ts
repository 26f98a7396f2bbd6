/** Figures for charts. */
import type { FastifyPluginAsync } from 'fastify';
import { figureOperations } from '../../../api/figures.ts';
import { fieldError } from '../../../base/field-error.ts';
import { databaseTime } from '../../../database/database-time.ts';
import { listSubjects, readFigures, startOfMinute } from '../../../measurements/figures.ts';
import { serve } from '../../../rest/serve.ts';
import type { AdministrationContext } from '../context.ts';

const minuteMs = 60_000;
/** Of steps, in minutes, the first that makes few enough of them. */
const steps = [1, 5, 15, 60, 180] as const;
const mostSteps = 400;
const mostSubjects = 20;
const mostDays = 31;

export function figureRoutes({ db }: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, figureOperations.show, async ({ query }) => {
      const to = query.to === undefined ? await databaseTime(db) : new Date(query.to);
      const askedFrom = query.from === undefined ? to.getTime() - 60 * minuteMs : Date.parse(query.from);
      const minutes = (to.getTime() - askedFrom) / minuteMs;
      if (minutes <= 0) throw fieldError('querystring', 'from', 'is not before `to`');
      if (minutes > mostDays * 1440)
        throw fieldError('querystring', 'from', `is more than ${mostDays} days before \`to\``);
      const subjects = [...new Set((query.subjects ?? 'domain').split(','))];
      if (subjects.length > mostSubjects) {
        throw fieldError('querystring', 'subjects', `are more than ${mostSubjects}: ask several times`);
      }
      const stepMinutes = steps.find((step) => minutes / step <= mostSteps) ?? steps[steps.length - 1] ?? 180;
      const from = startOfMinute(askedFrom);
      const series = await readFigures(db, { from, to, stepMinutes, subjects });
      return {
        stepMinutes,
        subjects: await listSubjects(db, from),
        series: [...series].map(([subject, points]) => ({ subject, points })),
      };
    });
  };
}
