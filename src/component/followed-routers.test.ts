/** Links follow the domain's routers while a component runs: one more is dialled, a removed one serves until it has drained. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { credentialPath } from '../link/credential.ts';
import { issueTestCredential } from '../link/link-fixture.ts';
import { silentLogger } from '../process/log/logger.ts';
import { createStage, type Stage, testComponent } from '../processes/router/router-fixture.ts';
import { until } from '../testing/condition.ts';
import { dialRouters } from './srp-links.ts';

const identifier = 'S11111111';
const home = await mkdtemp(join(tmpdir(), 'followed-routers-'));
const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 3 });
const first = await createStage();
const second = await createStage({
  ...(await first.domain.issue('router', ['router.test', 'tunnel.test'])),
  ...{ domainAuthorityPem: first.domain.certificatePem, component: testComponent('router-2') },
});
let failures = 0;
const log = {
  ...silentLogger,
  warn: (_: object, text: string) => {
    if (text.startsWith('the routers could not be read')) failures += 1;
  },
};
const ending = new AbortController();
const path = credentialPath(home, identifier);
await mkdir(dirname(path), { recursive: true });
await writeFile(path, JSON.stringify(await issueTestCredential(first.domain, identifier, first.srpPort)));
const links = await dialRouters({
  context: { environment: { home }, log, db, identity: testComponent('server-1') } as never,
  identifier,
  handlers: {},
});
const following = links.follow(ending.signal);
after(async () => {
  ending.abort();
  await following;
  await links.close();
  await Promise.all([first.close(), second.close()]);
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});

const place = (name: string, { srpPort }: Stage) => db`
  insert into router (name, host, link_host, server_name, srp_port)
  values (${name}, 'here', '127.0.0.1', 'router.test', ${srpPort}) on conflict (name) do nothing`;
const untilUp = async (...stages: Stage[]) =>
  await until(`there are links to ${stages.length} routers, all up`, 60_000, async () => {
    const wanted = stages.map(({ srpPort }) => `127.0.0.1:${srpPort} true`).sort();
    return (
      JSON.stringify(
        links
          .detail()
          .map(({ router, up }) => `${router} ${up}`)
          .sort(),
      ) === JSON.stringify(wanted)
    );
  });
const isLinked = ({ router }: Stage) => router.links.servers().length === 1;

test('without a router in the database those of the credential are dialled', async () => {
  await untilUp(first);
  assert.equal(links.ready(), null);
});

test('an added router is dialled at once, and the others stay', async () => {
  await place('router-1', first);
  await place('router-2', second);
  await untilUp(first, second);
  assert.equal(links.detail()[0]?.reconnects, 0);
  assert.ok(isLinked(first) && isLinked(second));
});

test('a removed router keeps its link until it has drained, and is not dialled again', async () => {
  await place('router-1', first);
  await place('router-2', second);
  await untilUp(first, second);
  await db`update router set removed_at = now() where name = 'router-1'`;
  await untilUp(second);
  // Whatever would have ended it has had its time when a later change has been followed.
  await db`insert into router (name, host, link_host, server_name, srp_port) values ('router-9', 'here', '127.0.0.1', 'x', 1)`;
  await until('a later change is followed', 60_000, async () => links.detail().length === 2);
  await db`delete from router where name = 'router-9'`;
  await untilUp(second);
  assert.ok(isLinked(first), 'it serves the requests that still come to it');
  await first.router.drain(100);
  await until('the link has ended', 60_000, async () => !isLinked(first));
  await untilUp(second);
});

test('when nobody is left in the table, or it cannot be read, the links stay', async () => {
  await db`delete from router`;
  await place('router-3', second);
  await db`update router set removed_at = now()`;
  await db`alter table router rename to elsewhere`;
  await db`select pg_notify('bramble_change', 'router')`;
  await until('it has been looked for in vain', 60_000, async () => failures > 0);
  await untilUp(second);
  await db`alter table elsewhere rename to router`;
});
