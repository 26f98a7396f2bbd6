/** The route signer is replaced, turned back and retired over REST and `bramble`, by an administration service as its role. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as z from 'zod';
import type { AuthorityList } from '../../api/authorities.ts';
import { runBramble } from '../../cli/command-line-fixture.ts';
import { openDatabase, type Transaction } from '../../database/connection.ts';
import { readRoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import { loadDomainAuthority } from '../../domain/authorities.ts';
import {
  readRouteSigners,
  retireFormerRouteSigner,
  revertRouteSigner,
  rollRouteSigner,
} from '../../domain/route-signer-roll.ts';
import { listSrpCredentials, revocationList } from '../../instances/srp-credential-store.ts';
import { normalSerial } from '../../link/messages.ts';
import { openRoutes } from '../../link/signed-envelope.ts';
import { keysOf } from '../../link/trusted-authorities.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { until } from '../../testing/condition.ts';
import { createRouteSigning } from '../server/route-signing.ts';
import { codeOf, startAdministration, whileUpgrading } from './administration-fixture.ts';

const admin = await startAdministration();
const { db, context } = admin;
let asRole: ReturnType<typeof openDatabase>;
before(async () => {
  await establishRoles(admin.databaseUrl, admin.home);
  const address = urlForRole(admin.databaseUrl, (await readRoleCredentials(admin.home)).get('administration'));
  asRole = openDatabase(address, { applicationName: 'bramble/administration/admin-1@test#2', max: 2 });
});
after(async () => {
  await asRole?.end({ timeout: 5 });
  await admin.close();
});

const bramble = (...argv: string[]) => runBramble(admin, ['authority', ...argv]);
/** As an instance reports it. */
const reports = async (name: string, routeSignerSerial: string | null, lease = '10 seconds') =>
  await db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until, detail)
    values (${name}, 'server', 'h', 'b', 1, ${context.release}, '{1}', ${[...context.features.map((f) => f.name)]},
            now() + ${lease}::interval, ${db.json({ ...(routeSignerSerial && { routeSignerSerial }) })})
    on conflict (name) do update set detail = excluded.detail, stopped_at = null`;

test('until the upgrade is finalized the route signer is not replaced', async () => {
  await whileUpgrading(admin, async () => {
    const { status, body } = await admin.call('POST', '/authorities/route-signer/roll');
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_FEATURE_LOCKED']);
  });
});

test('it is retired once every instance signs by the new one, and those that may not are named', async () => {
  for (const step of ['revert', 'retire']) {
    const { status, body } = await admin.call('POST', `/authorities/route-signer/${step}`);
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_STATE'], step);
  }
  const { present: first } = await readRouteSigners(db);
  await reports('server-1', first);
  await reports('server-2', first, '-10 seconds');
  assert.equal((await bramble('roll', 'route-signer')).code, 2, 'asks');
  const rolled = await bramble('roll', 'route-signer', '--yes');
  assert.equal(rolled.code, 0, rolled.errors);
  const { present: second, former } = await readRouteSigners(db);
  assert.equal(former, first);
  assert.notEqual(second, first);
  assert.match((await bramble('roll', 'route-signer', '--yes')).errors, /Retire it first.*ERR_STATE/s);

  await reports('server-1', second);
  const waiting = await bramble('retire', 'route-signer', '--yes');
  assert.match(waiting.errors, /server-2 on h \(not running\).*Nothing was changed.*component forget/s);
  assert.ok((await readRouteSigners(db)).former, 'nothing was changed');
  assert.deepEqual((await revocationList(db)).revoked, []);
  assert.equal((await runBramble(admin, ['component', 'forget', 'server-2'])).code, 0);
  assert.match((await bramble('list')).output, /Every instance signs routes by the new route signer/);
  const retired = await bramble('retire', 'route-signer', '--yes');
  assert.equal(retired.code, 0, retired.errors);
  assert.deepEqual(await readRouteSigners(db), { present: second, former: null });
  assert.deepEqual(
    (await revocationList(db)).revoked.map(({ serial }) => serial),
    [normalSerial(first ?? '')],
  );
  assert.equal((await listSrpCredentials(db)).length, 0, 'it is no credential');
  const { output } = await runBramble(admin, ['audit', 'list']);
  for (const step of ['roll', 'retire']) assert.match(output, new RegExp(`authorities/route-signer/${step}`));
});

test('one turns back before that: the former one signs again, and the other one is retired', async () => {
  const { present: first } = await readRouteSigners(db);
  await bramble('roll', 'route-signer', '--yes');
  const { present: second } = await readRouteSigners(db);
  await reports('server-1', second);
  assert.equal((await bramble('revert', 'route-signer', '--yes')).code, 0);
  assert.deepEqual(await readRouteSigners(db), { present: first, former: second });
  const { body } = await admin.call('GET', '/authorities');
  assert.deepEqual((body as AuthorityList).routeSigner, { waitsFor: ['server-1 on h'] });
  await reports('server-1', first);
  assert.equal((await bramble('retire', 'route-signer', '--yes')).code, 0);
  assert.deepEqual(await readRouteSigners(db), { present: first, former: null });
  assert.ok((await revocationList(db)).revoked.some(({ serial }) => serial === normalSerial(second ?? '')));
});

test('an instance signs by the one that there is, without a restart, and by the known one if it cannot be read', async () => {
  const key = keysOf([(await loadDomainAuthority(db, context.masterKeys)).certificateDer]);
  const shape = z.object({ n: z.number() });
  const signing = await createRouteSigning({ db, keys: context.masterKeys, log: silentLogger });
  const ending = new AbortController();
  const running = signing.run(ending.signal);
  const { present: first } = await readRouteSigners(db);
  assert.equal(signing.detail().routeSignerSerial, first);
  await asRole.begin((tx) => rollRouteSigner(tx, context.masterKeys, { name: 'Example' }, new Date()));
  const { present: second } = await readRouteSigners(db);

  await until('it signs by the new one', 60_000, async () => signing.detail().routeSignerSerial === second);
  const isRetired = (serial: string) => serial === first;
  assert.deepEqual(openRoutes(signing.sign({ n: 1 }), shape, key, isRetired), { n: 1 });
  await db`update authority set key_id = 'lost' where name = 'route-signer'`;
  assert.deepEqual(openRoutes(signing.sign({ n: 2 }), shape, key, isRetired), { n: 2 });
  await db`update authority set key_id = ${context.masterKeys.current} where name = 'route-signer'`;
  ending.abort();
  await running;
});

test('of two who do it at the same time one does, and the other is refused', async () => {
  const both = async (work: (tx: Transaction) => Promise<unknown>) => {
    const outcomes = await Promise.allSettled([asRole.begin(work), asRole.begin(work)]);
    return outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.code] : []));
  };
  assert.deepEqual(await both((tx) => retireFormerRouteSigner(tx, context.masterKeys)), ['ERR_STATE']);
  assert.deepEqual(await both((tx) => rollRouteSigner(tx, context.masterKeys, { name: 'Example' }, new Date())), [
    'ERR_STATE',
  ]);
  const before = await readRouteSigners(db);
  assert.deepEqual(await both((tx) => revertRouteSigner(tx, context.masterKeys)), []);
  assert.deepEqual(await readRouteSigners(db), before, 'turned back and forth');
});
