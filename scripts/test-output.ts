/**
 * Loaded ahead of each test file: has its output written before it ends. A test file ends by `--test-force-exit`, and what it
 * reports goes through a pipe that Node writes without waiting: a runner with too little processor to read it at once would
 * lose the last tests, and the file would count as one that ended early.
 */
import { Socket } from 'node:net';

/** Node's own property, which its types do not show. */
const { _handle: handle } = process.stdout as unknown as { _handle?: { setBlocking(on: boolean): number } };
if (process.stdout instanceof Socket) handle?.setBlocking(true);
