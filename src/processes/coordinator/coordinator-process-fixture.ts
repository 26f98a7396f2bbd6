/** The coordinator as a process of its own, for tests that kill it. */
import { runCoordinator } from './main.ts';

await runCoordinator();
