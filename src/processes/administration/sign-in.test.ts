/** Signing in at an administration service, as a browser does it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { removeOldSignIns } from '../../access/sign-in/old-sign-ins.ts';
import { openBrowser } from '../../testing/browser-session.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const password = 'seven wet otters';

interface Code {
  code: string;
}

async function firstCode(): Promise<string> {
  const { status, body } = await admin.call('POST', '/first-administrator');
  assert.equal(status, 200);
  return (body as Code).code;
}

const refusal = ({ status, body }: { status: number; body: unknown }) => [status, codeOf(body)];

test('the first administrator is made by a code, which is good once and ends the one before', async () => {
  const old = await firstCode();
  const code = await firstCode();
  const browser = openBrowser(admin.url);
  assert.deepEqual(refusal(await browser.call('POST', '/sign-in/code/look', { code: old })), [
    400,
    'ERR_ONE_TIME_CODE',
  ]);
  const look = await browser.call('POST', '/sign-in/code/look', { code });
  assert.deepEqual([look.status, (look.body as { purpose: string }).purpose], [200, 'first']);

  const made = { code, name: 'Ada', displayName: 'Ada L.', password };
  assert.deepEqual(refusal(await browser.call('POST', '/sign-in/code', { ...made, password: 'short' })), [
    400,
    'ERR_PASSWORD_RULES',
  ]);
  const answers = await Promise.all([1, 2, 3].map(() => openBrowser(admin.url).call('POST', '/sign-in/code', made)));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400, 400]);
  assert.deepEqual(refusal(await admin.call('POST', '/first-administrator')), [409, 'ERR_CONFLICT']);
});

/** Each test can be run alone. */
async function makeAda(): Promise<void> {
  if ((await admin.db`select from administrator where name = 'Ada'`).length > 0) return;
  const made = { code: await firstCode(), name: 'Ada', displayName: 'Ada L.', password };
  assert.equal((await openBrowser(admin.url).call('POST', '/sign-in/code', made)).status, 200);
}

async function signedIn(name = 'Ada', word = password) {
  await makeAda();
  const browser = openBrowser(admin.url);
  const { status } = await browser.call('POST', '/sign-in', { name, password: word });
  assert.equal(status, 200);
  return browser;
}

test('a session is a cookie that scripts and other sites do not get, and says who asks', async () => {
  await makeAda();
  const browser = openBrowser(admin.url);
  const { status, body, headers } = await browser.call('POST', '/sign-in', { name: 'ada', password });
  assert.deepEqual([status, body], [200, { next: null }]);
  const cookie = headers.getSetCookie().find((text) => text.includes('-session='));
  assert.match(
    cookie ?? '',
    /^__Host-bramble-[0-9a-f]{8}-session=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
  );
  const me = await browser.call('GET', '/me');
  const { name, kind, role, rights, service } = me.body as Record<string, unknown>;
  assert.deepEqual([name, kind, role, service], ['Ada', 'administrator', 'security', 'administration']);
  assert.ok((rights as string[]).includes('access.write'));
  assert.equal((await browser.call('POST', '/groups', { name: 'by-cookie', rank: 41 })).status, 201);
});

test('an unknown name and a wrong password get the same answer', async () => {
  const answers = [];
  for (const guess of [
    { name: 'Nobody', password },
    { name: 'Ada', password: `${password}!` },
  ]) {
    answers.push(await openBrowser(admin.url).call('POST', '/sign-in', guess));
  }
  assert.deepEqual(answers.map(refusal), [
    [401, 'ERR_SIGN_IN'],
    [401, 'ERR_SIGN_IN'],
  ]);
  const saidBy = (answer: { body: unknown } | undefined) => ({ ...(answer?.body as object), instance: '' });
  assert.deepEqual(saidBy(answers[0]), saidBy(answers[1]));
});

test('a request with a cookie is refused when it comes from another page, or under a name that is not ours', async () => {
  const browser = await signedIn();
  const group = { name: 'forged', rank: 42 };
  const { port } = new URL(admin.url);
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `http://127.0.0.1:${Number(port) + 1}` },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site' },
  ]) {
    assert.deepEqual(refusal(await browser.call('POST', '/groups', group, headers)), [403, 'ERR_ORIGIN']);
    assert.deepEqual(
      refusal(await openBrowser(admin.url).call('POST', '/sign-in', { name: 'Ada', password }, headers)),
      [403, 'ERR_ORIGIN'],
    );
  }
  // What a name that leads here by rebinding would send; fetch() does not let a test choose the host.
  const { request } = await import('node:http');
  const status = await new Promise((resolve, reject) => {
    const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { host: 'rebound.example', cookie };
    request(`${admin.url}/api/v1/me`, { headers }, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
  assert.equal(status, 403);
  assert.equal((await admin.call('POST', '/groups', group)).status, 201);
});

test('sessions are listed and ended; who signs out or signs in anew leaves no session behind', async () => {
  const here = await signedIn();
  const there = await signedIn();
  const list = async () => {
    const { sessions } = (await here.call('GET', '/sessions')).body as { sessions: { id: string; current: boolean }[] };
    return sessions;
  };
  const before = await list();
  const [newest] = before;
  assert.ok(newest);
  assert.equal(newest.current, false);
  assert.equal((await here.call('DELETE', `/sessions/${newest.id}`)).status, 204);
  assert.deepEqual(refusal(await there.call('GET', '/me')), [401, 'ERR_SESSION_ENDED']);
  assert.equal((await list()).length, before.length - 1);

  const fixed = new Map(here.cookies);
  assert.equal((await here.call('POST', '/sign-in', { name: 'Ada', password })).status, 200);
  assert.equal((await openBrowser(admin.url, fixed).call('GET', '/me')).status, 401);
  const last = new Map(here.cookies);
  assert.equal((await here.call('DELETE', '/session')).status, 204);
  assert.equal((await openBrowser(admin.url, last).call('GET', '/me')).status, 401);
});

test('a session ends when it rests too long, when it is too old, and when the password changes elsewhere', async () => {
  for (const change of ["seen_at = now() - interval '61 minutes'", 'expires_at = now()']) {
    const browser = await signedIn();
    await admin.db.unsafe(`update administrator_session set ${change} where ended_at is null`);
    assert.deepEqual(refusal(await browser.call('GET', '/me')), [401, 'ERR_SESSION_ENDED']);
  }
  const [here, there] = [await signedIn(), await signedIn()];
  const change = { current: password, password: 'nine dry weasels' };
  assert.equal((await here.call('PUT', '/me/password', change)).status, 204);
  assert.equal((await there.call('GET', '/me')).status, 401);
  assert.equal((await here.call('GET', '/me')).status, 200);
  assert.equal((await here.call('PUT', '/me/password', { current: change.password, password })).status, 204);
});

test('what a page asks while nobody is at it, and a stream, keep no session open', { timeout: 60_000 }, async () => {
  const seen = async (minutesAgo: number) =>
    await admin.db`
      update administrator_session set seen_at = now() - make_interval(mins => ${minutesAgo}) where ended_at is null`;
  const isResting = async () =>
    (
      await admin.db`select from administrator_session where ended_at is null and seen_at < now() - interval '29 minutes'`
    ).length > 0;
  /** In a domain where there is no other session. */
  const alone = async () => {
    await makeAda();
    await admin.db`update administrator_session set ended_at = now() where ended_at is null`;
    const browser = await signedIn();
    await seen(30);
    return browser;
  };
  const left = await alone();
  assert.equal((await left.call('GET', '/me', undefined, { 'bramble-unattended': 'true' })).status, 200);
  const cookie = [...left.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const stream = await fetch(`${admin.url}/api/v1/events`, { headers: { accept: 'text/event-stream', cookie } });
  assert.equal(stream.status, 200);
  assert.ok(await isResting());
  await seen(61);
  assert.match(await stream.text(), /"kind":"ended"/);
  assert.equal((await left.call('GET', '/me')).status, 401);

  const used = await alone();
  assert.equal((await used.call('GET', '/me')).status, 200);
  assert.ok(!(await isResting()));
});

test('a proof goes on under another secret, and the twenty-first session ends the oldest', async () => {
  const browser = await signedIn();
  const before = new Map(browser.cookies);
  assert.equal((await browser.call('POST', '/session/proof', { password })).status, 204);
  assert.equal((await browser.call('GET', '/me')).status, 200);
  assert.equal((await openBrowser(admin.url, before).call('GET', '/me')).status, 401);
  for (let n = 0; n < 20; n++) await signedIn();
  assert.equal((await browser.call('GET', '/me')).status, 401);
  const [open] = await admin.db<{ count: number }[]>`
    select count(*)::int as count from administrator_session where ended_at is null`;
  assert.equal(open?.count, 20);
});

test('guesses are slowed where they come from; a browser that has signed in before is not', async () => {
  const known = await signedIn();
  await known.call('DELETE', '/session');
  const guess = { name: 'Ada', password: 'wrong wrong wrong' };
  const statuses = [];
  for (let n = 0; n < 7; n++) statuses.push((await openBrowser(admin.url).call('POST', '/sign-in', guess)).status);
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429]);
  const limited = await openBrowser(admin.url).call('POST', '/sign-in', { name: 'Ada', password });
  assert.deepEqual(refusal(limited), [429, 'ERR_SIGN_IN_LIMITED']);
  assert.ok(Number(limited.headers.get('retry-after')) >= 1);
  assert.equal((await known.call('POST', '/sign-in', { name: 'Ada', password })).status, 200);
  await admin.db`delete from sign_in_try`;
});

test('a cookie that nobody gave makes no browser known', async () => {
  const known = await signedIn();
  const name = [...known.cookies.keys()].find((each) => each.endsWith('-browser')) ?? '';
  const statuses = [];
  for (let n = 0; n < 7; n++) {
    const cookies = new Map([[name, randomBytes(32).toString('base64url')]]);
    const guess = { name: 'Ada', password: 'wrong wrong wrong' };
    statuses.push((await openBrowser(admin.url, cookies).call('POST', '/sign-in', guess)).status);
  }
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429]);
  await admin.db`delete from sign_in_try`;
});

test('guesses at once get no more tries than one after the other', async () => {
  await makeAda();
  const guess = { name: 'Ada', password: 'wrong wrong wrong' };
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => openBrowser(admin.url).call('POST', '/sign-in', guess)),
  );
  assert.equal(answers.filter(({ status }) => status === 401).length, 5);
  assert.ok(answers.every(({ status }) => status === 401 || status === 429));
  await admin.db`delete from sign_in_try`;
});

test('sign-in and its end stand in the audit with who it was, refusals as counts, and no secret', async () => {
  const browser = await signedIn();
  await browser.call('DELETE', '/session');
  await openBrowser(admin.url).call('POST', '/sign-in', { name: 'Ada', password: 'wrong wrong wrong' });
  const rows = await admin.db<{ actor: string; operation: string; subjects: string[]; detail: object }[]>`
    select actor, operation, subjects, detail from audit_record where kind = 'operation' order by id desc limit 3`;
  assert.deepEqual(
    rows.map(({ actor, operation, subjects }) => [actor, operation, subjects]),
    [
      ['admin-1', 'sign-in refused', ['Ada']],
      ['Ada', 'DELETE /session', []],
      ['Ada', 'POST /sign-in', []],
    ],
  );
  assert.match(JSON.stringify(rows[0]?.detail), /"failures": ?1/);
  const [all] = await admin.db<{ text: string }[]>`select string_agg(r::text, ' ') as text from audit_record r`;
  assert.doesNotMatch(all?.text ?? '', /otters|weasels|wrong wrong|argon2|session=/);
});

test('what is over of sign-in is removed after a while, and what is not stays', async () => {
  const browser = await signedIn();
  const rows = async () => {
    const [counts] = await admin.db`
      select (select count(*) from administrator_session) as sessions, (select count(*) from sign_in_code) as codes,
             (select count(*) from sign_in_try) as tries, (select count(*) from administrator_browser) as browsers`;
    return Object.values(counts ?? {}).map(Number);
  };
  const before = await rows();
  await admin.db.begin(async (tx) => void (await removeOldSignIns(tx, 1000)));
  assert.deepEqual(await rows(), before);
  await admin.db.unsafe(`
    update administrator_session set ended_at = now() - interval '31 days' where ended_at is not null;
    update sign_in_code set used_at = now() - interval '31 days' where used_at is not null;
    update sign_in_try set last_at = now() - interval '25 hours';
    update administrator_browser set used_at = now() - interval '181 days'`);
  await admin.db.begin(async (tx) => void (await removeOldSignIns(tx, 1000)));
  assert.deepEqual((await rows()).slice(1), [0, 0, 0]);
  assert.equal((await admin.db`select from administrator_session where ended_at is not null`).length, 0);
  assert.equal((await browser.call('GET', '/me')).status, 200);
});
