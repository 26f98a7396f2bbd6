import assert from 'node:assert/strict';
import { type ChildProcess, fork, type SendHandle } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inTime } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';
import { ask, createStage, newToken, nextUp } from './router-fixture.ts';

interface BoundHandle {
  getsockname(out: { port?: number }): number;
  close(): void;
}
const { _createServerHandle: createHandle } = net as unknown as {
  _createServerHandle(address: string, port: number, family: 4): BoundHandle;
};

/** As the supervisor keeps it: bound, never listened on by the parent. */
function bind(): { handle: BoundHandle; port: number } {
  const handle = createHandle('127.0.0.1', 0, 4);
  const own: { port?: number } = {};
  handle.getsockname(own);
  return { handle, port: own.port ?? 0 };
}

test('a router is replaced on handed-on sockets without a lost request, and drained ones exit 0', async () => {
  // The stage lends its authorities and instances; the routers are processes.
  const stage = await createStage();
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  await mkdir(join(home, 'router', 'router-1'), { recursive: true });
  await writeFile(
    join(home, 'router', 'router-1', 'router.json'),
    JSON.stringify({ ...stage.identity, domainAuthorityPem: stage.domain.certificatePem }),
  );
  const sockets = { public: bind(), srp: bind() };
  const children = new Set<ChildProcess>();
  const start = async (): Promise<{ child: ChildProcess; url: string; listening: Promise<unknown> }> => {
    const child = fork(fileURLToPath(new URL('router-process-fixture.ts', import.meta.url)), {
      env: { ...process.env, BRAMBLE_HOME: home, BRAMBLE_COMPONENT: 'router-1', BRAMBLE_SETTINGS: '{}' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    children.add(child);
    for (const name of ['public', 'srp'] as const) {
      child.send({ type: 'socket', name }, sockets[name].handle as unknown as SendHandle);
    }
    const listening = new Promise((resolve) => {
      child.on('message', (message) => {
        if ((message as { type: string }).type === 'listening') resolve(null);
      });
    });
    const next = async () =>
      (await inTime('the router says something', 60_000, once(child, 'message'))) as [{ type: string; url: string }];
    const [alive] = await next();
    assert.equal(alive.type, 'alive', 'the heartbeat that the supervisor watches begins before the work');
    const [ready] = await next();
    assert.equal(ready.type, 'ready');
    return { child, url: ready.url, listening };
  };
  try {
    const first = await start();
    await first.listening;
    stage.publicPort = sockets.public.port;
    stage.srpPort = sockets.srp.port;
    const token = newToken();
    stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
    const link = await stage.dial('S00000001', {
      handlers: { request: (request, response) => void request.resume().on('end', () => response.end('ok')) },
    });
    await nextUp(link);
    assert.equal((await fetch(`${first.url}/readyz`)).status, 200);
    assert.match(await (await fetch(`${first.url}/metrics`)).text(), /bramble_router_links 1/);

    let replaced = false;
    let asked = 0;
    const outcomes = new Map<string, number>();
    const devices = Array.from({ length: 8 }, async () => {
      while (!replaced) {
        const outcome = await ask(stage, `/mdm/${token}/connect`, { body: 'x' }).then(
          ({ status }) => String(status),
          (error: NodeJS.ErrnoException) => error.code ?? error.message,
        );
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        asked += 1;
      }
    });
    let current = first;
    for (let turn = 0; turn < 2; turn += 1) {
      const next = await start();
      current.child.kill('SIGTERM');
      assert.equal(await exitWithin(current.child, 60_000, 'the replaced router'), 0);
      await next.listening;
      current = next;
    }
    replaced = true;
    await Promise.all(devices);
    assert.deepEqual([...outcomes], [['200', asked]]);
    assert.ok(asked > 0);
    current.child.disconnect();
    const code = await exitWithin(current.child, 60_000, 'the router without a supervisor');
    assert.equal(code, 0, 'a router does not outlive its supervisor');
  } finally {
    for (const child of children) child.kill('SIGKILL');
    for (const { handle } of Object.values(sockets)) handle.close();
    await stage.close();
    await rm(home, { recursive: true, force: true });
  }
});
