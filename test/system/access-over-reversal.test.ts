/**
 * Administrators, their sessions and limited tokens at work while a domain of the sealed release is upgraded, turned back and
 * upgraded once more, at first under the sealed supervisor. The sealed release knows none of them: it lets none of them in, and
 * whoever looks again after the way back finds what he had, no less and no more. Devices notice nothing of it.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { groupOperations } from '../../src/api/groups.ts';
import { tokenOperations } from '../../src/api/tokens.ts';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { isAlive } from '../../src/base/process-facts.ts';
import { announcedAddresses } from '../../src/component/service-address.ts';
import { isReady, type OpenedStream, openStream } from '../../src/rest/stream-fixture.ts';
import { type BrowserSession, openBrowser } from '../../src/testing/browser-session.ts';
import { until } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { type BuiltArchive, sealedArchive, workingTreeArchive } from '../harness/archives.ts';
import { isAnswering, type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, failuresIn, readEvidence, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { configureDomain, enrolFleet } from '../harness/preparation.ts';
import { openGate, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';
import { viewUpgrade } from '../harness/upgrade-view.ts';

const quick = { canariesPerInstance: 1, wavePercentages: [100], soakSeconds: 1, fenceGraceMs: 1500, gate: openGate };
const password = 'a sentence is fine';

type Headers = Readonly<Record<string, string>>;

describe('access over a reversal', { timeout: 900_000 }, () => {
  let from: BuiltArchive;
  let to: BuiltArchive;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  /** Whom the sealed release does not know, with what each sends. */
  const holders = new Map<string, () => Headers>();
  const browsers = new Map<string, Map<string, string>>();
  let watch: AccessWatch;
  let stream: OpenedStream;
  let standing: unknown;

  before(async () => {
    [from, to] = [await sealedArchive(), await workingTreeArchive()];
    domain = await startDomain({ archive: from.file, instances: 1, ownSupervisor: true });
    await configureDomain(domain, '127.0.0.1:9');
    fleet = await enrolFleet(domain, {
      ...{ devices: 6, accounts: 3, seed: 'access-over-reversal', interval: '500ms' },
      journal: join(domain.home, 'journal.ndjson'),
    });
  });
  after(async () => {
    await watch?.stop();
    stream?.close();
    await fleet?.stop();
    await domain?.stop();
  });

  async function consoleUrl(): Promise<string> {
    return (JSON.parse(await readFile(join(domain.home, 'console.json'), 'utf8')) as { url: string }).url;
  }

  async function upgrade(): Promise<void> {
    await startUpgrade(domain, to, quick);
    await untilUpgrade(domain, ['soaking'], { timeoutMs: 240_000 });
    await until('the console answers', 60_000, async () => {
      const answered = await fetch(`${await consoleUrl()}/api/v1/me`).catch(() => undefined);
      return answered?.status === 401 && answered.headers.get('bramble-served-by') === 'administration';
    });
  }

  /** Chooses a password by a one-time code; the browser stays signed in. */
  async function signUp(name: string, code: string): Promise<BrowserSession> {
    const cookies = new Map<string, string>();
    browsers.set(name, cookies);
    const browser = openBrowser(await consoleUrl(), cookies);
    const { status } = await browser.call('POST', '/sign-in/code', { code, name, password });
    assert.equal(status, 200);
    holders.set(name, () => ({ cookie: [...cookies].map((pair) => pair.join('=')).join('; ') }));
    return browser;
  }

  /** What each of them may do and see, as the console answers. */
  async function look(): Promise<unknown> {
    const url = await consoleUrl();
    const seen = [...holders].map(async ([name, headers]) => {
      const get = async (path: string) => {
        const answered = await fetch(`${url}/api/v1${path}`, { headers: headers() });
        const body = (await answered.json()) as Record<string, unknown>;
        return answered.ok ? body : answered.status;
      };
      const me = await get('/me');
      const { role, rights, groups, session } = typeof me === 'number' ? {} : me;
      const accounts = await get('/accounts');
      const names = typeof accounts === 'number' ? accounts : (accounts['accounts'] as { name: string }[]).length;
      return [name, { me: typeof me === 'number' ? me : 200, role, rights, groups, session, names }];
    });
    return Object.fromEntries(await Promise.all(seen));
  }

  test('the sealed supervisor runs this release’s administration, which opens the console by itself', async () => {
    await upgrade();
    const { api } = domain;
    await api.call(groupOperations.create, { body: { name: 'night shift', rank: 2 } });
    const call = openBrowser(await consoleUrl()).call;
    const asToken = { authorization: `Bearer ${domain.token}` };
    const { code } = (await call('POST', '/first-administrator', undefined, asToken)).body as { code: string };
    const ada = await signUp('ada', code);
    assert.equal((await ada.call('POST', '/roles', { name: 'reader', rights: ['accounts.read'] })).status, 201);
    const ben = { name: 'ben', role: 'junior-helpdesk', groups: ['field staff'] };
    const invited = (await ada.call('POST', '/administrators', ben)).body as { code: string };
    await signUp('ben', invited.code);
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
    for (const [name, body] of Object.entries({
      reader: { role: 'reader' },
      everything: { role: 'security' },
      night: { role: 'junior-helpdesk', groups: ['night shift'] },
      ending: { role: 'user-only', expiresAt: tomorrow },
      revoked: { role: 'security' },
    })) {
      const made = await ada.call('POST', '/tokens', { name, ...body });
      assert.equal(made.status, 201);
      const { token } = made.body as { token: string };
      holders.set(name, () => ({ authorization: `Bearer ${token}` }));
    }
    await api.call(tokenOperations.revoke, { params: { name: 'revoked' } });
    standing = await look();
    assert.partialDeepStrictEqual(standing, {
      ada: { me: 200, role: 'security', groups: null, names: 3 },
      ben: { me: 200, role: 'junior-helpdesk', groups: ['field staff'] },
      night: { groups: ['night shift'], names: 0 },
      reader: { rights: ['accounts.read'], names: 3 },
      revoked: { me: 401 },
    });
    stream = await openStream({ url: await consoleUrl(), token: domain.token });
    await stream.untilTold('it is live', isReady);
  });

  test('over the way back nobody gets more than he had, and the sealed release lets none of them in', async () => {
    watch = watchAccess(domain.home, holders, ['ben', 'reader', 'night', 'ending']);
    const following = domain.command('events', '--follow');
    await watch.untilAllAsked();
    await domain.api.call(upgradeOperations.reverse, {});
    await untilUpgrade(domain, ['reversed']);
    await until('the sealed administration service answers', 60_000, () => isAnswering(domain));
    const { code, stderr } = await following;
    assert.notEqual(code, 0);
    assert.match(stderr, /tells nothing live: its release is older/);
    await stream.ended;
    const [service] = await domain.sql<{ url: string; release: string }[]>`
      select loopback_url as url, release from component
       where kind = 'administration' and stopped_at is null and lease_until > clock_timestamp()`;
    assert.equal(service?.release, from.release);
    for (const [name, headers] of holders) {
      for (const path of ['/accounts', '/tokens', '/moves']) {
        const { status } = await fetch(`${service?.url}/api/v1${path}`, { headers: headers() });
        assert.equal(status, 401, `${name} asks for ${path}`);
      }
    }
    await untilServed(domain, fleet);
  });

  test('what the sealed release writes meanwhile takes away, and gives nothing', async () => {
    const { api } = domain;
    await api.call(groupOperations.delete, { params: { name: 'night shift' } });
    // It cannot know that the name is taken.
    const { token } = await api.call(tokenOperations.create, { body: { name: 'reader' } });
    assert.ok(token);
    assert.deepEqual(watch.widened(), []);
    await watch.stop();
  });

  test('after another upgrade each has what he had, by the same cookie or token, and the stream goes on where it was', async () => {
    await upgrade();
    const expected = standing as { night: { groups: string[] } };
    expected.night.groups = [];
    assert.deepEqual(await look(), expected);
    const since = await openStream({ url: await consoleUrl(), token: domain.token }, { after: stream.lastId() });
    await since.untilTold('what the sealed release did', ({ kind }) => kind === 'token-created');
    assert.equal(
      since.told.some(({ kind }) => kind === 'reset'),
      false,
    );
    since.close();
    await domain.api.call(tokenOperations.revoke, { params: { name: 'reader' } });
    const { status } = await fetch(`${await consoleUrl()}/api/v1/me`, { headers: holders.get('reader')?.() ?? {} });
    assert.equal(status, 401, 'both of that name have ended');
  });

  test('this release’s supervisor takes over with the console’s socket, which outlives who answers', async () => {
    await domain.api.call(upgradeOperations.finalize, {});
    await until('finalizing waits for the supervisor', 120_000, async () =>
      /^supervisors of an earlier release: /.test((await viewUpgrade(domain)).waitingFor ?? ''),
    );
    const sealed = domain.supervisor;
    const url = await consoleUrl();
    await domain.startSupervisor();
    await exitWithin(sealed, 60_000, 'the sealed supervisor');
    await untilUpgrade(domain, ['done']);
    assert.equal(await ask(url, 'ada'), 200);
    const [before] = await domain.sql<{ id: number }[]>`
      select process_id as id from component where kind = 'administration' and stopped_at is null`;
    const id = before?.id ?? 0;
    process.kill(id, 'SIGKILL');
    await until('it is gone', 60_000, async () => !(await isAlive(id)));
    // Nobody is there to accept it: it waits for the next one.
    assert.equal(await ask(url, 'ben'), 200);
    assert.equal(await consoleUrl(), url);
  });

  /** Over a connection of its own. */
  async function ask(url: string, name: string): Promise<number | undefined> {
    const { port, host } = new URL(url);
    return await new Promise((resolve, reject) => {
      const headers = { ...holders.get(name)?.(), host };
      const asked = request({ host: '127.0.0.1', port, path: '/api/v1/me', headers, agent: false }, (answer) => {
        answer.resume().once('end', () => resolve(answer.statusCode));
      });
      asked.once('error', reject).end();
    });
  }

  test('no device was refused, and nothing was lost', async () => {
    await untilServed(domain, fleet);
    await assertNothingLost(domain, fleet);
    assert.deepEqual(failuresIn((await readEvidence(fleet)).journal), []);
  });
});

interface AccessWatch {
  /** Answers to limited ones that only an unlimited one may have. */
  widened(): readonly string[];
  untilAllAsked(): Promise<void>;
  stop(): Promise<void>;
}

/** Asks every service that announces itself, of whatever release, for what none of the limited may see. */
function watchAccess(
  home: string,
  holders: ReadonlyMap<string, () => Headers>,
  limited: readonly string[],
): AccessWatch {
  const ending = new AbortController();
  const widened: string[] = [];
  const asked = new Set<string>();
  const askAll = async (url: string): Promise<void> => {
    for (const name of limited) {
      const headers = holders.get(name)?.() ?? {};
      const answered = await fetch(`${url}/api/v1/tokens`, { headers, signal: AbortSignal.timeout(20_000) });
      await answered.arrayBuffer();
      if (answered.ok) widened.push(`${name} at ${url}`);
      asked.add(name);
    }
  };
  const running = (async () => {
    while (!ending.signal.aborted) {
      // Services come and go.
      for (const url of await announcedAddresses(home)) await askAll(url).catch(() => undefined);
      await delay(100, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  })();
  return {
    widened: () => widened,
    untilAllAsked: async () => await until('all have asked', 60_000, () => asked.size === limited.length),
    stop: async () => {
      ending.abort();
      await running;
    },
  };
}
