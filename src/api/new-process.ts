/** What a new server instance and a new connection service have in common: they get a process and an SRP credential. */
import * as z from 'zod';
import { freeForm, processName } from './shapes.ts';

export const newProcess = {
  name: processName,
  host: z.string().min(1).max(255).optional().describe('The host whose supervisor runs it; default: this one.'),
};

export const addedProcess = z.object({
  name: z.string(),
  srpIdentifier: z.string(),
  host: z.string(),
  credential: freeForm
    .nullable()
    .describe('The credential file, shown once, if the host is another one; otherwise the file was put in place.'),
});
