/** While an upgrade is under way several services answer, and not each takes everything: the command line finds the one that does. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { after, test } from 'node:test';
import { announceAddress } from '../component/service-address.ts';
import { codeOf, startAdministration } from '../processes/administration/administration-fixture.ts';
import { startCoordinatorEndpoint, startTestUpgrade } from '../processes/coordinator/coordinator-endpoint-fixture.ts';
import { ownRelease } from '../registry/own-release.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';
import { runCommandLine } from './program.ts';

const limited = { timeout: 60_000 };
const admin = await startAdministration();
let healthAnswered = Promise.withResolvers<void>();
const coordinator = await startCoordinatorEndpoint(admin.db, (_request, response) => {
  response.on('finish', () => healthAnswered.resolve()).end('ok');
  return true;
});
/** An address of the administration service, which is heard there once that is settled. */
async function startWay(heard: () => Promise<void>): Promise<{ url: string; close: () => void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    void heard().then(() => {
      const onward = connect(Number(new URL(admin.url).port), '127.0.0.1').on('error', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
      socket.on('close', () => onward.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}
/** Heard only after the coordinator was. */
const late = await startWay(() => healthAnswered.promise);
after(async () => {
  late.close();
  await coordinator.close();
  await admin.close();
});

async function bramble(...argv: string[]) {
  healthAnswered = Promise.withResolvers<void>();
  return await runBramble({ ...admin, url: `${coordinator.url},${late.url}` }, argv);
}

async function send(url: string, method: string, path: string, body: string | Uint8Array<ArrayBuffer>, type: string) {
  const headers = { authorization: `Bearer ${admin.token}`, 'content-type': type };
  const response = await fetch(`${url}${path}`, { method, headers, body });
  return [response.status, codeOf(await response.json())];
}

test(
  'every operation with a body that a coordinator does not have is passed on, whatever the body is',
  limited,
  async () => {
    const document = (await (await fetch(`${admin.url}/api/v1/openapi.json`)).json()) as {
      paths: Record<string, Record<string, { requestBody?: object }>>;
    };
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, { requestBody }]) => requestBody !== undefined)
        .map(([method]) => ({ method: method.toUpperCase(), path: path.replace(/\{\w+\}/g, 'some') })),
    );
    const own =
      /\/upgrade\/(options|pause|resume|finalize|effects\/send-again)$|\/assignment$|\/v1\/(sign-in|session|me)\b/;
    const foreign = operations.filter(({ path }) => !own.test(path));
    assert.ok(foreign.length > 20, `only ${foreign.length} operations`);
    const bodies: [string | Uint8Array<ArrayBuffer>, string][] = [
      ['{"suspects":3}', 'application/json'],
      ['{', 'application/json'],
      ['{"name":"ada"}\n', 'application/x-ndjson'],
      [new Uint8Array(100 * 1024), 'application/json'],
    ];
    for (const { method, path } of foreign) {
      for (const [body, type] of bodies) {
        const said = await send(coordinator.url, method, path, body, type);
        assert.deepEqual(said, [409, 'ERR_RELEASE_FENCED'], `${method} ${path} ${type}`);
      }
    }
    assert.deepEqual(await send(admin.url, 'PUT', '/api/v1/nowhere', '{"a":1}', 'application/json'), [
      404,
      'ERR_NOT_FOUND',
    ]);
  },
);

test(
  'a change, an import and an export reach the administration service when the coordinator answers first',
  limited,
  async () => {
    const set = await bramble('budget', 'set', 'suspects=3', 'suspectAfterSeconds=10');
    assert.deepEqual([set.code, set.errors], [exitCode.ok, '']);
    assert.match(set.output, /suspects +3/);
    const unfit = await bramble('budget', 'set', 'suspectAfterSeconds=-1');
    assert.match(unfit.errors, /^error: suspectAfterSeconds must be at least 1/);
    assert.match((await bramble('budget', 'set', 'foo=3')).errors, /foo.*The budget has perInstance, perDomain/);
    const file = join(admin.home, 'accounts.ndjson');
    await writeFile(file, '{"name":"imported-1"}\n');
    assert.match((await bramble('account', 'import', file)).output, /^1 account was created/);
    const exported = await bramble('audit', 'export');
    assert.deepEqual([exported.code, exported.errors], [exitCode.ok, '']);
    assert.match(exported.output, /^\{"format":"bramble-audit-1"/);
  },
);

test('a watch goes on at the address of the service that replaces the one it asked', limited, async () => {
  const [major, minor] = ownRelease.split('.').map(Number);
  await startTestUpgrade(admin.db, `${major}.${Number(minor) + 1}.0`);
  const [former, next] = [await startWay(async () => undefined), await startWay(async () => undefined)];
  await announceAddress(admin.home, 'admin-1', former.url);
  let shown = '';
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      const isFirst = shown === '';
      shown += String(chunk);
      if (!isFirst) return done();
      former.close();
      void announceAddress(admin.home, 'admin-1', next.url)
        .then(() => admin.db`update upgrade set state = 'reversed', finished_at = now()`)
        .then(() => done(), done);
    },
  });
  const environment = { BRAMBLE_HOME: admin.home, BRAMBLE_TOKEN: admin.token };
  const streams = { input: Readable.from([]), output, errors: output, environment };
  const code = await runCommandLine(['upgrade', 'status', '--watch'], streams);
  next.close();
  assert.deepEqual([code, /^state +reversed/m.test(shown)], [exitCode.ok, true], shown);
});
