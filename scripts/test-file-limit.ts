/**
 * Loaded ahead of each test file by `scripts/test.ts`. A test that hangs is ended by its own time-out; this ends a file that
 * hangs outside its tests, or in a loop that lets no timer of its own process come. Hence the thread beside it.
 */
import { writeSync } from 'node:fs';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const limitMs = Number(process.env['BRAMBLE_TEST_FILE_LIMIT_MS'] ?? 900_000);
/** For what the file's process does at its exit: it ends the processes that it started. */
const graceMs = 20_000;

if (!isMainThread) {
  setTimeout(() => {
    writeSync(2, `${workerData} is not done after ${limitMs} ms and is ended.\n`);
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs);
  }, limitMs);
} else if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  new Worker(new URL(import.meta.url), { execArgv: [], workerData: process.argv[1] }).unref();
}
