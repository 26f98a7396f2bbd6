/** For tests only: the router as a process of its own. */
import { runRouter } from './main.ts';

await runRouter();
process.exit(0);
