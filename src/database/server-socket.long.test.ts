/** Real servers with certificates of an authority of the test. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTestAuthority } from '../link/link-fixture.ts';
import { startServer } from './cluster-fixture.ts';
import { openDatabase } from './connection.ts';

async function usesTls(url: string): Promise<boolean> {
  const db = openDatabase(url, { applicationName: 'bramble/test', max: 1 });
  try {
    const [row] = await db`select ssl from pg_stat_ssl where pid = pg_backend_pid()`;
    return row?.['ssl'] === true;
  } finally {
    await db.end({ timeout: 5 });
  }
}

const refused = (message: RegExp) => (error: Error & { code?: string }) => {
  assert.equal(error.code, 'ERR_DATABASE_TLS', String(error));
  assert.match(error.message, message);
  return true;
};

test('a server proves what the address wants proved, or nothing is sent to it', async (t) => {
  const [own, other] = await Promise.all([createTestAuthority('Databases'), createTestAuthority('Others')]);
  const server = await startServer(t, await own.issue('db', ['localhost', 'db.test']));
  const folder = await mkdtemp(join(tmpdir(), 'bramble-authorities-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [trusted, foreign] = [join(folder, 'own.pem'), join(folder, 'other.pem')];
  await Promise.all([writeFile(trusted, own.certificatePem), writeFile(foreign, other.certificatePem)]);
  const byAddress = server.url;
  const byName = server.url.replace('127.0.0.1', 'localhost');

  assert.equal(await usesTls(`${byName}?sslmode=verify-full&sslrootcert=${trusted}`), true);
  assert.equal(await usesTls(`${byAddress}?sslmode=verify-ca&sslrootcert=${trusted}`), true);
  assert.equal(await usesTls(`${byAddress}?sslmode=require&sslrootcert=${trusted}`), true);
  assert.equal(await usesTls(`${byAddress}?sslmode=require`), true);
  assert.equal(await usesTls(`${byAddress}?sslmode=prefer`), true);
  assert.equal(await usesTls(byAddress), false);

  const wrongName = `${byAddress}?sslmode=verify-full&sslrootcert=${trusted}`;
  await assert.rejects(usesTls(wrongName), refused(/certificate for another name.*127\.0\.0\.1.*Use a name/));
  for (const mode of ['verify-full', 'verify-ca', 'require']) {
    const wrongAuthority = `${byName}?sslmode=${mode}&sslrootcert=${foreign}`;
    await assert.rejects(usesTls(wrongAuthority), refused(/authority that is not trusted.*other\.pem/));
  }
  await assert.rejects(usesTls(`${byName}?sslmode=verify-full`), refused(/names none, so those of the system/));
  const missing = `${byName}?sslmode=verify-full&sslrootcert=${join(folder, 'absent.pem')}`;
  await assert.rejects(usesTls(missing), refused(/absent\.pem, cannot be read.*sslrootcert/));
});

test('a server without TLS is used only if the address leaves that to it', async (t) => {
  const server = await startServer(t);
  assert.equal(await usesTls(`${server.url}?sslmode=prefer`), false);
  await assert.rejects(usesTls(`${server.url}?sslmode=require`), refused(/has no TLS.*ssl = on/));
});

test('bytes that come before TLS are not believed', async (t) => {
  const asked: Buffer[] = [];
  const injecting = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      asked.push(chunk);
      // The answer to a request for TLS, with the beginning of a conversation behind it.
      socket.write(Buffer.from('S\x52\0\0\0\x08\0\0\0\0', 'latin1'));
    });
  });
  injecting.listen(0, '127.0.0.1');
  await once(injecting, 'listening');
  t.after(() => injecting.close());
  const { port } = injecting.address() as AddressInfo;
  await assert.rejects(usesTls(`postgres://a:b@127.0.0.1:${port}/x?sslmode=require`), refused(/does not answer/));
  assert.deepEqual(asked, [Buffer.from('0000000804d2162f', 'hex')], 'nothing else was sent');
});
