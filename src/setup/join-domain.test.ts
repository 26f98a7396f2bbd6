/** A computer that joins a domain: by its invitation, by one that it cannot use, and while the domain is upgraded. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { clientOf } from '../api/client-fixture.ts';
import { hostOperations } from '../api/hosts.ts';
import { systemClock } from '../base/clock.ts';
import { openDatabase } from '../database/connection.ts';
import { maxSessions } from '../database/roles/role-rights.ts';
import { establishRoles } from '../database/roles/role-setup.ts';
import { storeRelease } from '../distribution/release-store.ts';
import { invitationText, readInvitation } from '../hosts/invitation.ts';
import {
  type AdministrationFixture,
  configureForHosts,
  startAdministration,
} from '../processes/administration/administration-fixture.ts';
import { keepAnsweringHosts } from '../processes/administration/host-joins.ts';
import { watchJoiningSessions } from '../processes/administration/joining-sessions.ts';
import { setDesiredProcess } from '../registry/desired-processes.ts';
import { installArchive } from '../release/archive.ts';
import { writeTestArchive } from '../release/signed-archive-fixture.ts';
import { joinDomain } from './join-domain.ts';

const limited = { timeout: 60_000 };
const stop = new AbortController();
const [domain, other] = [await invitingDomain(), await invitingDomain()];
after(async () => {
  stop.abort();
  for (const { answering, admin } of [domain, other]) {
    await answering;
    await admin.close();
  }
});

async function invitingDomain() {
  const admin = await startAdministration();
  await configureForHosts(admin);
  await establishRoles(admin.databaseUrl, admin.home);
  const { db, context, home } = admin;
  const service = { db, release: context.release, name: 'admin-1', host: 'test-host', home };
  const { masterKeys, log } = context;
  return { admin, answering: keepAnsweringHosts({ ...service, masterKeys, log }, systemClock, stop.signal) };
}

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-joining-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function invite(admin: AdministrationFixture, name: string): Promise<string> {
  const url = new URL(admin.databaseUrl);
  url.username = url.password = '';
  return (await clientOf(admin).call(hostOperations.invite, { body: { name, databaseUrl: url.href } })).invitation;
}

async function joinBy(home: string, invitation: string) {
  const plan = { home, invitation, listenAddress: '127.0.0.1', onStep: () => undefined };
  return await joinDomain({ ...plan, signal: AbortSignal.timeout(30_000) });
}

test(
  'who was answered with a release that an upgrade has replaced runs the one that the domain has by now',
  limited,
  async (t) => {
    const [home, builds] = [await newFolder(t), await newFolder(t)];
    const next = '99.0.0';
    await installArchive(await writeTestArchive(builds, next, {}), { home: builds });
    const { db, context } = domain.admin;
    await db.begin((tx) => storeRelease(tx, builds, next));
    await setDesiredProcess(db, {
      ...{ name: 'admin-1', kind: 'administration', host: 'test-host' },
      release: next,
      state: 'running',
      settings: {},
    });
    const joined = await joinBy(home, await invite(domain.admin, 'berlin'));
    assert.notEqual(context.release, next);
    assert.deepEqual(joined, {
      domain: 'Example',
      host: 'berlin',
      release: next,
      program: join(home, 'releases', next, 'bramble.mjs'),
    });
  },
);

test('an invitation of another domain is refused, and says what to do', limited, async (t) => {
  const home = await newFolder(t);
  const theirs = readInvitation(await invite(other.admin, 'oslo'));
  const ours = readInvitation(await invite(domain.admin, 'oslo'));
  const code = 'ERR_HOST_INVITATION';
  const message = /is of another domain. Invite the host again with `bramble host invite`/;
  const [here, there] = [new URL(ours.databaseUrl), new URL(theirs.databaseUrl)];
  there.pathname = here.pathname;
  const misled = [
    { ...theirs, databaseUrl: there.href },
    { ...theirs, databaseUrl: ours.databaseUrl },
  ];
  for (const invitation of misled) await assert.rejects(joinBy(home, invitationText(invitation)), { code, message });
  assert.deepEqual(await readdir(home), [], 'a refused attempt leaves nothing');
  await writeFile(join(home, 'config.json'), '{}');
  await assert.rejects(joinBy(home, invitationText(theirs)), { code: 'ERR_DOMAIN_EXISTS', message: /BRAMBLE_HOME/ });
  assert.equal(await readFile(join(home, 'config.json'), 'utf8'), '{}');
});

test('who is invited waits for a session that others have taken all of', limited, async (t) => {
  const [home, { admin }] = [await newFolder(t), domain];
  const { db, context } = admin;
  const watching = new AbortController();
  const watch = watchJoiningSessions({ db, log: context.log }, systemClock, watching.signal);
  const theirs = await invite(admin, 'rome');
  const ours = await invite(admin, 'bern');
  const { databaseUrl } = readInvitation(theirs);
  const taken = Array.from({ length: maxSessions.join ?? 0 }, () =>
    openDatabase(databaseUrl, { applicationName: 'test', max: 1 }),
  );
  t.after(async () => {
    watching.abort();
    await watch;
    await Promise.all(taken.map((session) => session.end({ timeout: 5 })));
  });
  for (const session of taken) await session`select 1`;
  assert.equal((await joinBy(home, ours)).host, 'bern');
});
