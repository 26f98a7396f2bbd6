/** What programs and pages are answered on a host that the upgrade is not steered from. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { problemMediaType } from '../../api/shapes.ts';
import { exitCode } from '../../cli/exit-codes.ts';
import { until } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';

const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

test('it says from which host the upgrade is steered, whatever is asked, and ends when told to', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-signpost-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  const configuration = { database: { embedded: true }, host: 'berlin', publicPort: 0, srpPort: 0 };
  await writeFile(join(home, 'config.json'), JSON.stringify({ ...configuration, console: { port: 0 } }));
  const signpost = spawn(process.execPath, [main, 'run', 'signpost'], {
    env: {
      ...{ PATH: process.env['PATH'], BRAMBLE_HOME: home, BRAMBLE_COMPONENT: 'signpost' },
      BRAMBLE_SETTINGS: JSON.stringify({ steeredFrom: 'hamburg' }),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  t.after(() => signpost.kill('SIGKILL'));
  let url = '';
  await until('it has an address', 60_000, async () => {
    const text = await readFile(join(home, 'console.json'), 'utf8').catch(() => '{}');
    ({ url = '' } = JSON.parse(text) as { url?: string });
    return url !== '';
  });
  assert.deepEqual(await (await fetch(`${url}/healthz`)).json(), { status: 'ok' });
  for (const [method, path] of [
    ['GET', '/api/v1/upgrade'],
    ['POST', '/api/v1/sign-in'],
    ['DELETE', '/api/v1/session'],
  ] as const) {
    const answered = await fetch(`${url}${path}`, { method, headers: { authorization: 'Bearer whatever' } });
    assert.equal(answered.status, 409);
    assert.equal(answered.headers.get('content-type'), problemMediaType);
    assert.equal(answered.headers.get('bramble-served-by'), 'signpost');
    assert.ok(Number(answered.headers.get('retry-after')) >= 1);
    assert.equal(answered.headers.get('set-cookie'), null);
    const { code, details } = (await answered.json()) as { code: string; details: { steeredFrom: string } };
    assert.deepEqual([code, details.steeredFrom], ['ERR_RELEASE_FENCED', 'hamburg']);
  }
  const asking = spawn(process.execPath, [main, 'status'], {
    env: { PATH: process.env['PATH'], BRAMBLE_HOME: home, BRAMBLE_URL: url, BRAMBLE_TOKEN: 'whatever' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  asking.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  assert.notEqual(await exitWithin(asking, 60_000, 'bramble status'), exitCode.ok);
  assert.match(errors, /steered from the host hamburg/);
  signpost.kill('SIGTERM');
  assert.equal(await exitWithin(signpost, 60_000, 'the signpost'), exitCode.ok);
});
