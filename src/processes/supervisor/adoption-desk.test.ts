import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { runFolder } from '../../process/adoption-messages.ts';
import { offerSockets } from '../../process/socket-offer.ts';
import { exitWithin } from '../../testing/process.ts';
import { openAdoptionDesk } from './adoption-desk.ts';
import { newHome } from './supervisor-fixture.ts';

test('what killed routers offered is removed, and what living ones offer stays', async (t) => {
  const home = await newHome([]);
  await mkdir(runFolder(home));
  const code = `
    import { offerSockets } from ${JSON.stringify(new URL('../../process/socket-offer.ts', import.meta.url).href)};
    await offerSockets(${JSON.stringify(runFolder(home))}, () => new Map());
    process.exit(0);`;
  const killed = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
  assert.equal(await exitWithin(killed, 30_000, 'the process'), 0);
  const living = await offerSockets(runFolder(home), () => new Map());
  t.after(living.close);
  const offers = async () => (await readdir(runFolder(home))).filter((name) => name.startsWith('sockets-'));
  assert.equal((await offers()).length, 2);
  const desk = await openAdoptionDesk({
    ...{ home, hungAfterMs: 30_000, gatherMs: 1, onHandOver: () => undefined },
    ...{ hasPlace: () => false, onLate: () => undefined },
  });
  t.after(desk.close);
  assert.deepEqual(await offers(), [living.folder]);
});
