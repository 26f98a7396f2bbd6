import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { birthOf } from '../../base/process-facts.ts';
import { exitWithin } from '../../testing/process.ts';
import { runShort } from '../../testing/shortage.ts';

const href = (file: string) => JSON.stringify(new URL(file, import.meta.url).href);

test('an adopted process that closed its connection has not ended while the system cannot tell, and is stopped later', async (t) => {
  const sleeper = spawn('sleep', ['300']);
  t.after(() => sleeper.kill('SIGKILL'));
  await once(sleeper, 'spawn');
  const { pid } = sleeper;
  const birth = await birthOf(pid ?? 0);
  const orphan = {
    ...{ type: 'orphan', pid, birth, name: 'one', kind: 'server', release: '1.2.0', settings: {}, database: null },
    ...{ ready: true, yields: false, serving: true, startedAtMs: 0 },
  };
  const said = await runShort(
    t,
    `import net from 'node:net';
    import { once } from 'node:events';
    const { birthOf } = await import(${href('../../base/process-facts.ts')});
    const { adoptProcess } = await import(${href('./adopted-process.ts')});
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = net.connect(server.address().port, '127.0.0.1');
    const [connection] = await once(server, 'connection');
    const adopted = adoptProcess(${JSON.stringify(orphan)}, connection, 300_000);
    await once(client, 'data');
    const closed = Promise.all([once(client, 'close'), once(connection, 'close')]);
    client.destroy();
    await closed;
    const release = useUp();
    await birthOf(${pid}).then(() => { throw new Error('told'); }, () => undefined);
    const before = adopted.hasExited();
    const stopping = adopted.stop(60_000);
    await birthOf(${pid}).then(() => { throw new Error('told'); }, () => undefined);
    release();
    await stopping;
    server.close();
    console.log(JSON.stringify([before, adopted.hasExited()]));`,
  );
  assert.deepEqual(JSON.parse(said), [false, true]);
  await exitWithin(sleeper, 30_000, 'the process that was stopped');
  assert.equal(sleeper.signalCode, 'SIGTERM');
});
