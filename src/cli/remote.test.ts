/** `bramble` from another computer: over TLS, with an authority of the domain's own, and domains known by name. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { type AddressInfo, connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { createConsoleServer } from '../rest/console-server.ts';
import { createLoopbackCertificate } from '../simulator/loopback-certificate.ts';
import { until } from '../testing/condition.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';

const admin = await startAdministration();
const { certificatePem, keyPem, caPem } = await createLoopbackCertificate('console');
const console = createConsoleServer({
  ...{ app: admin.app, folders: async function* () {}, names: [], servedBy: 'administration' },
  certificate: { cert: certificatePem, key: keyPem },
});
await new Promise<void>((resolve) => console.server.listen(0, '127.0.0.1', resolve));
const url = `https://localhost:${(console.server.address() as AddressInfo).port}`;
const home = await mkdtemp(join(tmpdir(), 'bramble-remote-'));
after(async () => {
  await console.close();
  await admin.close();
  await rm(home, { recursive: true, force: true });
});
const ca = join(home, 'ca.pem');
await writeFile(ca, caPem);
const file = join(home, '.config', 'bramble', 'profiles.json');

/** As somebody who has no domain on this computer. */
async function bramble(
  argv: readonly string[],
  options: { environment?: Record<string, string>; input?: string } = {},
) {
  return await runBramble(admin, argv, { ...options, environment: { HOME: home, ...options.environment } });
}

test('a service whose certificate nobody vouches for gets no token', async () => {
  const { code, errors } = await bramble(['--url', url, '--token', admin.token, 'status']);
  assert.equal(code, exitCode.unreachable, errors);
  assert.match(errors, /certificate that is not trusted here: name its authority with --url-ca/);
});

test('no token is sent in the clear, and that of a home to no address of which the home says nothing', async () => {
  await writeFile(join(home, 'admin.json'), JSON.stringify({ url: admin.url, token: admin.token }));
  const status = async (given: string, ...token: string[]) =>
    (await bramble(['--url', given, ...token, 'status'], { environment: { BRAMBLE_HOME: home } })).errors;
  assert.match(await status('http://192.0.2.7:3180', '--token', 'x'), /in the clear.*ERR_ADMIN_ADDRESS/s);
  assert.match(await status('https://bramble.test:3180'), /admin\.json is not sent to https:.*ERR_ADMIN_ACCESS/s);
  assert.match(await status(`${admin.url},https://bramble.test:3180`), /ERR_ADMIN_ACCESS/);
  assert.equal(await status(admin.url), '');
  await rm(join(home, 'admin.json'));
});

test('over TLS browsers are told to stay with it, and nobody speaks less than 1.2', async () => {
  const port = Number(new URL(url).port);
  const speak = async (versions: ConnectionOptions) => {
    const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: caPem, ...versions });
    socket.end('GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
    return await text(socket);
  };
  const old = { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const) {
    await assert.rejects(speak({ ...old, maxVersion }), /protocol version/i, maxVersion);
  }
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    assert.match(await speak({ ...old, maxVersion }), /^strict-transport-security: max-age=31536000\r$/im, maxVersion);
  }
});

test('with the authority of the domain the command line works over TLS', async () => {
  for (const [argv, environment] of [
    [['--url', url, '--token', admin.token, '--url-ca', ca], {}],
    [[], { BRAMBLE_URL: url, BRAMBLE_TOKEN: admin.token, BRAMBLE_URL_CA: ca }],
  ] as const) {
    const { code, output, errors } = await bramble([...argv, 'status'], { environment });
    assert.equal(code, 0, errors);
    assert.match(output, /Example/);
  }
  const none = await bramble(['--url', url, '--token', admin.token, '--url-ca', join(home, 'none.pem'), 'status']);
  assert.notEqual(none.code, 0);
  await writeFile(join(home, 'other.pem'), 'no certificate');
  const other = await bramble(['--url', url, '--token', admin.token, '--url-ca', join(home, 'other.pem'), 'status']);
  assert.match(other.errors, /other\.pem contains no certificate/);
});

test('a profile is added with its token from standard input, used by name or as the one that is meant, and removed', async () => {
  const added = await bramble(['--url', url, '--url-ca', ca, 'profile', 'add', 'example'], {
    input: `${admin.token}\n`,
  });
  assert.equal(added.code, 0, added.errors);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.ok(!added.output.includes(admin.token));
  const listed = await bramble(['--json', 'profile', 'list']);
  assert.deepEqual(JSON.parse(listed.output), { profiles: [{ name: 'example', url, authority: 'own', used: false }] });

  const before = await bramble(['status'], { environment: { BRAMBLE_HOME: join(home, 'none') } });
  assert.equal(before.code, exitCode.unauthorized, before.errors);
  assert.equal((await bramble(['--profile', 'example', 'status'])).code, 0);
  assert.equal((await bramble(['status'], { environment: { BRAMBLE_PROFILE: 'example' } })).code, 0);
  assert.equal((await bramble(['profile', 'use', 'example'])).code, 0);
  assert.equal((await bramble(['status'])).code, 0);
  // A home that is named counts more than the profile in use.
  const named = await bramble(['status'], { environment: { BRAMBLE_HOME: join(home, 'none') } });
  assert.equal(named.code, exitCode.unauthorized, named.errors);

  const again = await bramble(['--url', url, 'profile', 'add', 'example'], { input: 'other' });
  assert.match(again.errors, /ERR_NAME_TAKEN/);
  assert.equal((await bramble(['profile', 'remove', 'example'])).code, 0);
  assert.ok(!(await readFile(file, 'utf8')).includes(admin.token));
  const gone = await bramble(['--profile', 'example', 'status']);
  assert.deepEqual([gone.code, /ERR_ADMIN_PROFILE/.test(gone.errors)], [exitCode.configuration, true]);
});

test('a token is kept for encrypted addresses and this host alone, and not in a file that others can read', async () => {
  const clear = await bramble(['--url', 'http://192.0.2.7:3180', 'profile', 'add', 'clear'], { input: 'secret' });
  assert.match(clear.errors, /in the clear.*ERR_ADMIN_ADDRESS/s);
  const empty = await bramble(['--url', url, 'profile', 'add', 'empty'], { input: '\n' });
  assert.match(empty.errors, /ERR_ADMIN_ACCESS/);
  const both = await bramble(['--profile', 'example', '--url', url, 'status']);
  assert.equal(both.code, exitCode.usage);
  await chmod(file, 0o640);
  const open = await bramble(['profile', 'list']);
  assert.match(open.errors, /others can read or write it/);
});

test('a connection on which an administrator asked is closed for no stranger', async () => {
  const agent = new Agent({ keepAlive: true, ca: caPem });
  const headers = { authorization: `Bearer ${admin.token}` };
  const ask = async () =>
    await new Promise<[number | undefined, boolean]>((resolve, reject) => {
      const asked = request(`${url}/api/v1/me`, { agent, headers }, (answer) => {
        answer.resume().once('end', () => resolve([answer.statusCode, asked.reusedSocket]));
      });
      asked.once('error', reject).end();
    });
  assert.deepEqual(await ask(), [200, false]);
  // More than there may be, and of no address more than of his.
  const { port } = new URL(url);
  const strangers = Array.from({ length: 600 }, (_, number) =>
    connectPlain({ port: Number(port), host: '127.0.0.1', localAddress: `127.1.${number >> 8}.${number & 255}` }),
  );
  for (const socket of strangers) socket.on('error', () => undefined).resume();
  try {
    await until('strangers lose theirs', 30_000, () => strangers.filter(({ closed }) => closed).length >= 89);
    assert.deepEqual(await ask(), [200, true]);
  } finally {
    for (const socket of strangers) socket.destroy();
    agent.destroy();
  }
});
