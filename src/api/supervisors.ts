/** Supervisors, as the status of the domain and the report of an upgrade show them. */
import * as z from 'zod';
import { instant } from './shapes.ts';

export const supervisor = z.object({
  host: z.string(),
  wanted: z.boolean().describe('Whether the domain wants processes to run there.'),
  release: z.string().nullable().describe('null for 1.1, whose supervisors do not report.'),
  atWork: z.boolean().describe('Whether it has reported recently.'),
  processId: z.number().nullable(),
  nodeVersion: z.string().nullable(),
  postgresBinaries: z.string().nullable(),
  postgresServer: z.string().nullable(),
  startedAt: instant.nullable(),
});
export type SupervisorView = z.output<typeof supervisor>;
