/** For tests: a domain in a database of its own, and an administration service that listens in this process. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { createToken } from '../../access/administrator-tokens.ts';
import { createNameLookups } from '../../base/name-lookups.ts';
import { type Database, openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { createMasterKeys, type MasterKeys } from '../../database/sealed-value.ts';
import { createAuthorities } from '../../domain/authority-creation.ts';
import { insertDomain } from '../../domain/domain.ts';
import { createInstance } from '../../instances/instances.ts';
import type { Platforms } from '../../platforms/port.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { seedPolicies } from '../../policies/preconfigured-policies.ts';
import { healthHandler } from '../../process/health.ts';
import { type Logger, silentLogger } from '../../process/log/logger.ts';
import { ownFeatures } from '../../registry/own-release.ts';
import { thisRelease } from '../../release/this-release.ts';
import { jsonCaller } from '../../rest/json-call-fixture.ts';
import { insertRouter } from '../../routers/router-store.ts';
import { type AdministrationServerOptions, administrationServer } from './administration-server.ts';
import type { AdministrationContext } from './context.ts';

export interface AdministrationFixture {
  db: Database;
  context: AdministrationContext;
  app: FastifyInstance;
  /** `http://127.0.0.1:port` */
  url: string;
  token: string;
  home: string;
  databaseUrl: string;
  /** Sends JSON with the token and parses the answer. */
  call: ReturnType<typeof jsonCaller>;
  close(): Promise<void>;
}

/** A domain of this release with the instances `one` and `two`, and its administration service. */
export async function startAdministration({
  platforms = registeredPlatforms,
  log = silentLogger,
  ...options
}: Pick<AdministrationServerOptions, 'bodyPatience' | 'rates'> & {
  readonly platforms?: Platforms;
  readonly log?: Logger;
} = {}): Promise<AdministrationFixture> {
  const database = await createTestDatabase();
  const db = openDatabase(database.url, { applicationName: 'bramble/administration/admin-1@test#1' });
  const home = await mkdtemp(join(tmpdir(), 'bramble-admin-'));
  const masterKeys = createMasterKeys();
  const token = await createTestDomain(db, masterKeys);
  const context: AdministrationContext = {
    db,
    name: 'admin-1',
    release: thisRelease.release,
    features: [...ownFeatures, { name: 'shared', since: '99.0.0', summary: 'For tests.', kinds: ['server'] }],
    platforms,
    host: 'test-host',
    home,
    masterKeys,
    names: createNameLookups(),
    log,
  };
  const app = await administrationServer({
    ...options,
    context,
    health: healthHandler({ registry: new Registry(), ready: () => null }),
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  return {
    db,
    context,
    app,
    url,
    token,
    home,
    databaseUrl: database.url,
    call: jsonCaller({ url, token }),
    close: async () => {
      await app.close();
      await db.end({ timeout: 5 });
      await rm(home, { recursive: true, force: true });
    },
  };
}

async function createTestDomain(db: Database, masterKeys: MasterKeys): Promise<string> {
  await insertDomain(db, {
    domainId: randomUUID(),
    name: 'Example',
    publicUrl: 'https://mdm.example.org:8443',
    tunnelHost: 'tunnel.example.org',
    wakeChannel: 'com.apple.mgmt.External.test',
    release: thisRelease.release,
    schemaVersion: thisRelease.schemaVersion,
  });
  await createAuthorities(db, masterKeys, { name: 'Example' });
  await seedPolicies(db);
  await placeRouter(db, '127.0.0.1');
  await db.begin(async (tx) => {
    await createInstance(tx, { name: 'one' });
    await createInstance(tx, { name: 'two' });
  });
  const token = await createToken(db, 'first');
  if (token === 'name-taken') throw new TypeError('a fresh database has a token');
  return token;
}

/** Where the domain's one router is dialled. */
export async function placeRouter(db: Database, linkHost: string): Promise<void> {
  await db.begin(async (tx) => {
    await tx`delete from router`;
    await insertRouter(tx, {
      ...{ name: 'router-1', host: 'test-host', linkHost, linkPort: null, serverName: 'router.test' },
      ...{ srpPort: 3101, publicPort: 8443 },
    });
  });
}

/** As an instance does for a router of this release that is linked to it. */
export async function registerTestRouter(db: Database, name: string): Promise<void> {
  await db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until, detail)
    values (${name}, 'router', 'test-host', 'b', 1, ${thisRelease.release}, '{1}', ${[...thisRelease.features]},
            now() + interval '1 hour', '{"links": [{"identifier": "S00000001"}]}')
    on conflict (name) do update set lease_until = excluded.lease_until`;
}

/** The code of an answer that is an error. */
export const codeOf = (body: unknown): unknown => (body as { code?: unknown }).code;

/** Runs `work` during an upgrade to this release: at the old feature level, with an instance of this release registered. */
export async function whileUpgrading(admin: AdministrationFixture, work: () => Promise<void>): Promise<void> {
  await admin.db`update domain set feature_level = '1.0.0'`;
  await admin.db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values ('old-server', 'server', 'h', 'b', 1, '1.0.0', '{1}', '{}', now() - interval '1 minute')`;
  try {
    await work();
  } finally {
    await admin.db`update domain set feature_level = ${admin.context.release}`;
    await admin.db`delete from component where name = 'old-server'`;
  }
}

/** Gives the domain what inviting a host asks for: an external database, a role for joining, and routers that others reach. */
export async function configureForHosts({ db, home, databaseUrl }: AdministrationFixture): Promise<void> {
  const configuration = { database: { url: databaseUrl }, host: 'test-host', publicPort: 8443, srpPort: 3101 };
  await writeFile(join(home, 'config.json'), JSON.stringify(configuration));
  await placeRouter(db, 'mdm.example.org');
  const [role] = await db<{ name: string }[]>`
    select current_database() || '_join' as name
     where not exists (select from pg_roles where rolname = current_database() || '_join')`;
  if (role !== undefined) await db.unsafe(`create role "${role.name}" login`);
}
