/** How often an administrator may ask, and a stranger. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { jsonCaller } from '../../rest/json-call-fixture.ts';
import { openBrowser } from '../../testing/browser-session.ts';
import { startAdministration } from './administration-fixture.ts';

/** So slow that none comes back while a test runs. */
const perSecond = 1 / 3600;
const admin = await startAdministration({
  rates: { administrator: { burst: 12, perSecond }, unknown: { burst: 4, perSecond } },
});
after(async () => await admin.close());

const ask = async (token: string, path = '/api/v1/features') =>
  await fetch(`${admin.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
async function statuses(token: string, count: number): Promise<number[]> {
  const seen: number[] = [];
  while (seen.length < count) seen.push((await ask(token)).status);
  return seen;
}

test('strangers use up what their address has, and nothing of whoever was known before', async () => {
  const { body } = await admin.call('POST', '/tokens', { name: 'second' });
  const { token } = body as { token: string };
  assert.equal((await ask(token)).status, 200);
  assert.deepEqual(await statuses(`bramble_${'x'.repeat(43)}`, 4), [401, 401, 429, 429]);
  const refused = await ask('another');
  const seconds = Number(refused.headers.get('retry-after'));
  assert.ok(seconds > 0 && seconds <= 3600);
  const { code, details } = (await refused.json()) as { code: string; details: object };
  assert.deepEqual([code, details], ['ERR_RATE_LIMIT', { retryAfterSeconds: seconds }]);
  assert.equal((await ask(token)).status, 200);
  assert.equal((await ask('', '/healthz')).status, 200);
  assert.equal((await ask('', '/api/v1/openapi.json')).status, 200);

  assert.equal((await admin.call('DELETE', '/tokens/second')).status, 204);
  assert.deepEqual(await statuses(token, 2), [401, 429], 'once it is revoked it is a stranger’s');
});

test('an administrator who asks too often is refused alone, and changes nothing', async () => {
  const { body } = await admin.call('POST', '/tokens', { name: 'busy' });
  // Known by what the first test left of strangers' requests no more: as if it had asked before.
  const busy = (body as { token: string }).token;
  assert.deepEqual(new Set(await statuses(busy, 2)), new Set([429]));
  const own = jsonCaller(admin);
  let answer = await own('POST', '/groups', { name: 'g-0' });
  for (let made = 1; answer.status === 201; made++) answer = await own('POST', '/groups', { name: `g-${made}` });
  assert.equal(answer.status, 429);
  assert.ok((await admin.db`select from account_group`).length < 12);
  assert.equal((await ask('', '/healthz')).status, 200);
});

test('the cookie of a session that ended is a stranger’s', async () => {
  const own = await startAdministration({
    rates: { administrator: { burst: 12, perSecond }, unknown: { burst: 4, perSecond } },
  });
  try {
    const { body } = await own.call('POST', '/first-administrator');
    const browser = openBrowser(own.url);
    const { code } = body as { code: string };
    await browser.call('POST', '/sign-in/code', { code, name: 'ada', password: 'seven wet otters' });
    assert.equal((await browser.call('GET', '/me')).status, 200);
    await own.db`update administrator_session set ended_at = now()`;
    const seen: number[] = [];
    while (seen.length < 6) seen.push((await browser.call('GET', '/me')).status);
    assert.deepEqual([seen[0], seen.at(-1)], [401, 429]);
  } finally {
    await own.close();
  }
});

test('what anybody may ask for is a stranger’s share too, and a known browser has its own', async () => {
  const own = await startAdministration({
    rates: { administrator: { burst: 12, perSecond }, unknown: { burst: 4, perSecond } },
  });
  try {
    const { body } = await own.call('POST', '/first-administrator');
    const ada = openBrowser(own.url);
    const password = 'seven wet otters';
    await ada.call('POST', '/sign-in/code', { code: (body as { code: string }).code, name: 'ada', password });
    const stranger = openBrowser(own.url);
    const begun: number[] = [];
    while (begun.length < 4) begun.push((await stranger.call('POST', '/sign-in/openid', { provider: 'none' })).status);
    assert.deepEqual(begun, [404, 404, 404, 429]);
    const all = ['/openapi.json', '/sign-in'].map(async (path) => (await stranger.call('GET', path)).status);
    const options = await stranger.call('POST', '/sign-in/passkey/options', {});
    assert.deepEqual(new Set([...(await Promise.all(all)), options.status]), new Set([429]));
    await statuses(`bramble_${'x'.repeat(43)}`, 6);
    assert.equal((await ada.call('GET', '/me')).status, 200, 'her session is known since it was opened');
    assert.equal((await ada.call('POST', '/sign-in', { name: 'ada', password })).status, 200);
    assert.equal((await ada.call('GET', '/me')).status, 200);
  } finally {
    await own.close();
  }
});
