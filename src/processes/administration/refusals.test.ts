/** Whoever is refused is in the log, with what he wanted and from where, and nothing of what he sent. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createLogger } from '../../process/log/logger.ts';
import { openBrowser } from '../../testing/browser-session.ts';
import { startAdministration } from './administration-fixture.ts';

const lines: string[] = [];
const facts = { kind: 'administration', name: 'admin-1', release: '1.0.0' };
const log = createLogger(facts, { write: (line) => void lines.push(line) });
const admin = await startAdministration({ log });
after(async () => await admin.close());

interface Line {
  msg: string;
  level: string;
  code: string;
  administrator?: string;
  address: string;
  operation: string;
  requestId: string;
}

test('refusals are logged: unknown tokens, rights that are lacking, wrong passwords, foreign pages', async () => {
  const { token } = (await admin.call('POST', '/tokens', { name: 'desk', role: 'user-only' })).body as {
    token: string;
  };
  const ask = async (bearer: string, path: string) =>
    await fetch(`${admin.url}/api/v1${path}`, { headers: { authorization: `Bearer ${bearer}` } });
  const unknown = `bramble_${'x'.repeat(43)}`;
  const answers = [await ask(unknown, '/accounts/ada'), await ask(token, '/hosts?limit=7')];
  const browser = openBrowser(admin.url);
  const typed = { name: 'grace@secret', password: 'seven wet otters' };
  await browser.call('POST', '/sign-in', typed);
  await browser.call('POST', '/sign-in', typed, { origin: 'https://evil.example' });
  assert.equal((await ask(token, '/accounts')).status, 200);

  const refused = lines.map((line) => JSON.parse(line) as Line).filter(({ msg }) => msg === 'refused');
  assert.deepEqual(
    refused.map(({ code, administrator, operation, address, level }) => [
      code,
      administrator,
      operation,
      address,
      level,
    ]),
    [
      ['ERR_TOKEN_INVALID', undefined, 'GET /api/v1/accounts/:name', '127.0.0.1', 'warn'],
      ['ERR_RIGHT_MISSING', 'desk', 'GET /api/v1/hosts', '127.0.0.1', 'warn'],
      ['ERR_SIGN_IN', undefined, 'POST /api/v1/sign-in', '127.0.0.1', 'warn'],
      ['ERR_ORIGIN', undefined, 'POST /api/v1/sign-in', '127.0.0.1', 'warn'],
    ],
  );
  const named = await Promise.all(
    answers.map(async (answer) => ((await answer.json()) as { instance: string }).instance),
  );
  assert.deepEqual(
    refused.slice(0, 2).map(({ requestId }) => `urn:uuid:${requestId}`),
    named,
  );
  for (const secret of [unknown, token, typed.name, typed.password]) assert.ok(!lines.join('').includes(secret));
});
