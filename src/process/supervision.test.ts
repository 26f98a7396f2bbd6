import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../testing/condition.ts';
import { exitWithin } from '../testing/process.ts';
import { adoptableFolder, onLines, runFolder, sendLine, supervisorSocket, typeOf } from './adoption-messages.ts';

const rounds = 30;

test('a process whose supervisor dies before it read all looks for the next one', { timeout: 60_000 }, async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  await mkdir(runFolder(home));
  const code = `
    import { openSupervision } from ${JSON.stringify(new URL('./supervision.ts', import.meta.url).href)};
    const own = { home: ${JSON.stringify(home)}, name: 'one', kind: 'server', release: '1.2.0' };
    const supervision = openSupervision(own);
    supervision.announceReady();
    setInterval(() => undefined, 1000);
    supervision.signal.addEventListener('abort', () => process.exit(0));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'message');

  // It says "ready" once it is adopted, which is not read any more: the end of the connection is then an error.
  let adoptions = 0;
  const adopted = Promise.withResolvers<void>();
  const desk = net.createServer((connection) => {
    onLines(connection, (message) => {
      if (typeOf(message) !== 'orphan') return;
      adoptions += 1;
      sendLine(connection, { type: 'adopted' });
      if (adoptions > rounds) return adopted.resolve();
      connection.pause();
      setTimeout(() => connection.destroy(), adoptions);
    });
  });
  desk.listen(join(runFolder(home), supervisorSocket));
  t.after(() => desk.close());
  await once(desk, 'listening');
  child.disconnect();
  const ended = once(child, 'exit').then(() => assert.fail(`it ended after ${adoptions} adoptions`));
  await Promise.race([adopted.promise, ended]);
  child.kill('SIGTERM');
  ended.catch(() => undefined);
  assert.equal(await exitWithin(child, 30_000, 'the process'), 0);
});

test('a process that cannot say that it can be adopted says so as soon as it can', { timeout: 60_000 }, async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  await mkdir(runFolder(home));
  await writeFile(adoptableFolder(home), 'no folder');
  const code = `
    import { openSupervision } from ${JSON.stringify(new URL('./supervision.ts', import.meta.url).href)};
    const own = { home: ${JSON.stringify(home)}, name: 'one', kind: 'server', release: '1.2.0' };
    const log = { warn: () => process.send({ type: 'warned' }) };
    const supervision = openSupervision({ ...own, log });
    supervision.signal.addEventListener('abort', async () => {
      await supervision.release();
      process.exit(0);
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  t.after(() => child.kill('SIGKILL'));
  for await (const [message] of on(child, 'message')) if (typeOf(message) === 'warned') break;
  await rm(adoptableFolder(home));
  const file = join(adoptableFolder(home), `${child.pid}.json`);
  await until('it said so', 30_000, async () => JSON.parse(await readFile(file, 'utf8')).name === 'one');
  child.kill('SIGTERM');
  assert.equal(await exitWithin(child, 30_000, 'the process'), 0);
  assert.deepEqual(await readdir(adoptableFolder(home)), []);
});

test('a process that tells a supervisor that is gone by then looks for the next one', {
  timeout: 60_000,
}, async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  const gone = join(home, 'gone');
  // Its event loop stands still meanwhile, so that the channel still counts as open.
  const code = `
    import { existsSync } from 'node:fs';
    import { openSupervision } from ${JSON.stringify(new URL('./supervision.ts', import.meta.url).href)};
    const own = { home: ${JSON.stringify(home)}, name: 'one', kind: 'server', release: '1.2.0' };
    const supervision = openSupervision(own, 1);
    supervision.signal.addEventListener('abort', () => process.exit(0));
    setInterval(() => undefined, 1000);
    process.on('message', () => {
      while (!existsSync(${JSON.stringify(gone)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
      supervision.tellStarter({ type: 'listening' });
      supervision.announceReady();
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'message');
  await new Promise((resolve) => child.send({ type: 'tell' }, resolve));
  child.disconnect();
  await writeFile(gone, '');
  assert.equal(await exitWithin(child, 30_000, 'the process'), 0);
});
