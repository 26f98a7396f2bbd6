/** For tests: a component that devices reach once its parent says so over IPC. */
import { once } from 'node:events';
import * as z from 'zod';
import { componentProcess } from './component-process.ts';

await componentProcess({
  kind: 'server',
  settings: z.object({}),
  work: async () => ({
    serving: async (signal) => void (await once(process, 'message', { signal })),
    drain: async () => {},
  }),
});
