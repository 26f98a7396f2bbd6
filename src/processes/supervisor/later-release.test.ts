/** What releases before and after this one may send to the socket in the home, and how this one handles it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { birthOf } from '../../base/process-facts.ts';
import {
  adoptableFolder,
  onLines,
  runFolder,
  sendLine,
  supervisorSocket,
  typeOf,
} from '../../process/adoption-messages.ts';
import { openAdoptionDesk } from './adoption-desk.ts';
import { lockHome } from './home-lock.ts';
import { newHome } from './supervisor-fixture.ts';
import { claimHome } from './take-over.ts';

/** One end of the socket in the home, as in a later release: it sends messages that this one does not know. */
async function laterSupervisor(t: TestContext, home: string, answers: readonly object[], after: () => unknown) {
  await mkdir(runFolder(home), { recursive: true });
  const desk = net.createServer((connection) => {
    onLines(connection, () => {
      for (const answer of answers) sendLine(connection, answer);
      after();
    });
  });
  desk.listen(path.join(runFolder(home), supervisorSocket));
  await once(desk, 'listening');
  t.after(() => desk.close());
}

test('a supervisor that says more than is known here is waited for, and one that refuses is left at work', async (t) => {
  const home = await newHome([]);
  const claim = { release: '1.2.0', takeOver: true, signal: AbortSignal.timeout(60_000), onEvent: () => undefined };
  const held = await lockHome(home, '1.3.0');
  const unknown = { type: 'welcome', version: 3 };
  await laterSupervisor(t, home, [unknown, { type: 'handing-over', until: 'soon' }], () => held.release());
  const lock = await claimHome(home, claim);
  await lock.release();

  const other = await newHome([]);
  await lockHome(other, '1.3.0');
  const refused = { type: 'refused', reason: 'A router is being replaced.' };
  await laterSupervisor(t, other, [unknown, refused], () => undefined);
  await assert.rejects(claimHome(other, claim), (error: { code: string; message: string }) => {
    assert.equal(error.code, 'ERR_TAKE_OVER_REFUSED');
    assert.match(error.message, /A router is being replaced\./);
    return true;
  });
});

test('a supervisor that does not listen yet is asked again before it is killed', async (t) => {
  const home = await newHome([]);
  const held = await lockHome(home, '1.2.0');
  const claimed = claimHome(home, {
    ...{ release: '1.2.1', takeOver: true, signal: AbortSignal.timeout(60_000), answerMs: 60_000 },
    onEvent: () => void laterSupervisor(t, home, [{ type: 'handing-over' }], () => held.release()),
  });
  await (await claimed).release();
});

test('a process and a supervisor that say more than is known here are heard', async (t) => {
  const home = await newHome([]);
  const asked = Promise.withResolvers<string>();
  const desk = await openAdoptionDesk({
    ...{ home, hungAfterMs: 30_000, gatherMs: 60_000, onHandOver: asked.resolve },
    ...{ hasPlace: () => false, onLate: () => undefined },
  });
  t.after(desk.close);
  const sockets = { type: 'sockets', folder: 'sockets-later', names: ['public', 'console'] };
  const said = (...lines: object[]) => {
    const connection = net.connect(path.join(runFolder(home), supervisorSocket));
    connection.on('error', () => undefined);
    onLines(connection, (message) => {
      if (typeOf(message) === 'hand-sockets') sendLine(connection, sockets);
    });
    for (const line of lines) sendLine(connection, line);
    t.after(() => connection.destroy());
  };
  const orphan = { type: 'orphan', pid: process.pid, birth: await birthOf(process.pid), name: 'later', kind: 'router' };
  const facts = { release: '1.3.0', settings: {}, database: null, ready: false, startedAtMs: 0, mood: 'good' };
  await writeFile(path.join(adoptableFolder(home), 'later.json'), JSON.stringify({ ...orphan, mood: 'good' }));
  // All at once: what follows the introduction must be handled too.
  said({ type: 'hello' }, { ...orphan, ...facts }, { type: 'mood' }, { type: 'ready' });
  const { adopted } = await desk.gather(AbortSignal.timeout(60_000));
  assert.deepEqual(
    adopted.map(({ spec }) => spec.name),
    ['later'],
  );
  await adopted[0]?.ready;
  const offer = await adopted[0]?.offeredSockets(AbortSignal.timeout(60_000));
  assert.ok(offer?.names.includes('public'));
  said({ type: 'hello' }, { type: 'hand-over', release: '1.3.0', mood: 'good' });
  assert.equal(await asked.promise, '1.3.0');
});
