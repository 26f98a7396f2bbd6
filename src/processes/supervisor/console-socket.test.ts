/** What becomes of the console's socket when nobody answers on it any more. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { createConsoleSocket } from './console-socket.ts';
import { createJournal } from './supervisor-fixture.ts';

/** Listens on what it is handed, and accepts nothing. */
const program = `process.once('message', (_, handle) => {
  require('node:net').createServer({ pauseOnConnect: true }).listen(handle, () => process.send('listening'));
});`;

function holder(t: TestContext): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=commonjs', '-e', program], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function connects(port: number): Promise<boolean> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

test('without a process connections wait for a while, and are then refused until one asks again at the same port', async (t) => {
  const journal = createJournal();
  const ending = new AbortController();
  const socket = createConsoleSocket({
    ...{ home: tmpdir(), settings: { listen: '127.0.0.1', port: 0, names: [] }, signal: ending.signal },
    ...{ onEvent: journal.onEvent, unusedMs: 300 },
  });
  t.after(() => {
    ending.abort(new Error('the test is over'));
    socket.close();
  });
  const first = holder(t);
  const second = holder(t);
  socket.sendTo(first);
  const { port } = await journal.next('listening');
  await once(first, 'message');
  socket.sendTo(second);
  await once(second, 'message');
  first.kill('SIGKILL');
  await once(first, 'exit');
  assert.equal(await connects(port), true);
  second.kill('SIGKILL');
  await once(second, 'exit');
  assert.equal((await journal.next('closed')).port, port);
  assert.equal(await connects(port), false);
  const third = holder(t);
  socket.sendTo(third);
  assert.equal((await journal.next('listening')).port, port);
  await once(third, 'message');
  assert.equal(await connects(port), true);
});
