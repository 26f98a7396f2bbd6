/**
 * Creates a new domain in an empty database: schema, authorities, policies, the first router, instances, connection
 * services, administration services, and the first administrator's token.
 *
 * Invariant: the domain's row is written last, in one transaction with everything that it needs, so an interrupted
 * creation can simply be repeated.
 */
import { randomUUID, X509Certificate } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createToken } from '../access/administrator-tokens.ts';
import { recorded } from '../access/audit/record.ts';
import { BrambleError } from '../base/errors.ts';
import type { InstanceId } from '../base/ids.ts';
import { advisoryLock, lockClass } from '../database/advisory-locks.ts';
import { openDatabase, type Transaction } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import { migrate } from '../database/migrate.ts';
import { assertOwnSessions } from '../database/pooler-check.ts';
import { establishRoles } from '../database/roles/role-setup.ts';
import { createMasterKeys, type MasterKeys, readMasterKeys, writeMasterKeys } from '../database/sealed-value.ts';
import { applyBudget, readBudget } from '../deliveries/budget.ts';
import type { Authority } from '../domain/authorities.ts';
import { createAuthorities } from '../domain/authority-creation.ts';
import { insertDomain } from '../domain/domain.ts';
import { keepReleaseSigner } from '../domain/release-signer.ts';
import { createConnectionService } from '../instances/connection-services.ts';
import { createInstance } from '../instances/instances.ts';
import { issueSrpCredential } from '../instances/srp-credentials.ts';
import { credentialPath, type RouterAddress } from '../link/credential.ts';
import { routerFilePath, srpServerName } from '../link/router-file.ts';
import { seedPolicies } from '../policies/preconfigured-policies.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { declareRange } from '../registry/components.ts';
import { type DesiredProcess, setDesiredProcess } from '../registry/desired-processes.ts';
import { issueRouterCertificate } from '../routers/router-certificate.ts';
import { insertRouter } from '../routers/router-store.ts';
import { hostInUrl, publicHostOf } from './public-host.ts';

export interface NewDomainPlan {
  home: string;
  databaseUrl: string;
  /** Whether each kind of process gets its own database role: if the address is a superuser's. */
  databaseRoles: boolean;
  sqlFolder: string;
  release: string;
  name: string;
  /** Name of this host, as its supervisor knows it. */
  host: string;
  /** The name or address that devices know; with the port it never changes. */
  publicHost: string;
  publicPort: number;
  srpPort: number;
  tunnelHost: string;
  wakeChannel: string;
  instances: number;
  administrationServices: number;
  /** Fingerprint of the release's signer; absent if unsigned. */
  releaseSigner?: string;
}

interface CreatedDomain {
  publicUrl: string;
  instances: { name: string; srpIdentifier: string }[];
  /** The first administrator's; also in BRAMBLE_HOME/admin.json. */
  token: string;
}

const routerName = 'router-1';

/**
 * Creates the domain.
 * @throws BrambleError ERR_DOMAIN_EXISTS when the database holds one already.
 */
export async function createDomain(plan: NewDomainPlan): Promise<CreatedDomain> {
  await assertOwnSessions(plan.databaseUrl, { applicationName: 'bramble/create-domain' });
  const schemaVersion = await migrate(plan.databaseUrl, {
    folder: plan.sqlFolder,
    release: plan.release,
    contract: true,
    applicationName: 'bramble/create-domain',
  });
  if (plan.databaseRoles) await establishRoles(plan.databaseUrl, plan.home);
  const keys = await masterKeysOf(plan.home);
  const db = openDatabase(plan.databaseUrl, { applicationName: 'bramble/create-domain', max: 2 });
  try {
    return await db.begin(async (tx) => {
      // Waits for a concurrent creation, whose domain the next statement sees.
      await tx`select pg_advisory_xact_lock(${lockClass}, ${advisoryLock.migration})`;
      const [existing] = await tx`select 1 from domain`;
      if (existing) throw new BrambleError('ERR_DOMAIN_EXISTS', 'The database already holds a domain.');
      const operation = {
        actor: 'bramble',
        operation: 'domain create',
        subjects: [plan.name],
        from: { component: 'create-domain', host: plan.host },
        when: 'wrote',
      } as const;
      return await recorded(tx, operation, () => fillDomain(tx, plan, keys, schemaVersion));
    });
  } finally {
    await db.end({ timeout: 5 });
  }
}

async function fillDomain(
  tx: Transaction,
  plan: NewDomainPlan,
  keys: MasterKeys,
  schemaVersion: number,
): Promise<CreatedDomain> {
  const publicHost = publicHostOf(plan.publicHost);
  const publicUrl = `https://${hostInUrl(publicHost)}:${plan.publicPort}`;
  const { name, release, tunnelHost, wakeChannel } = plan;
  await insertDomain(tx, { domainId: randomUUID(), name, publicUrl, tunnelHost, wakeChannel, release, schemaVersion });
  await declareRange(tx, release);
  if (plan.releaseSigner !== undefined) {
    await keepReleaseSigner(tx, { fingerprint: plan.releaseSigner, occasion: `first use, with release ${release}` });
  }
  const authorities = await createAuthorities(tx, keys, { name });
  await seedPolicies(tx);
  const routers: RouterAddress[] = [{ host: publicHost, port: plan.srpPort, serverName: srpServerName }];
  await insertRouter(tx, {
    ...{ name: routerName, host: plan.host, linkHost: publicHost, linkPort: null, serverName: srpServerName },
    ...{ srpPort: plan.srpPort, publicPort: plan.publicPort },
  });
  await writeRouterFiles(plan, publicUrl, authorities.domain, await databaseTime(tx));
  const desire = (process: Pick<DesiredProcess, 'name' | 'kind' | 'settings'>) =>
    setDesiredProcess(tx, { ...process, host: plan.host, release, state: 'running' });
  await desire({ name: routerName, kind: 'router', settings: { tunnelHost } });

  const instances: { id: InstanceId; name: string; srpIdentifier: string }[] = [];
  for (let number = 1; number <= plan.instances; number++) {
    const created = await createInstance(tx, { name: `server-${number}` });
    if (created.kind !== 'created') throw new BrambleError('ERR_INTERNAL', 'A fresh domain already has an instance.');
    const service = await createConnectionService(tx, { name: `connection-${number}`, instances: [created.name] });
    if (service.kind !== 'created') throw new BrambleError('ERR_INTERNAL', 'A fresh domain has a connection service.');
    for (const { name, srpIdentifier, kind } of [
      { ...created, kind: 'server' as const },
      { ...service.service, kind: 'connection' as const },
    ]) {
      const issued = await issueSrpCredential(tx, {
        identifier: srpIdentifier,
        authority: authorities.domain,
        routers,
      });
      if (issued === 'not-found') throw new BrambleError('ERR_INTERNAL', `${srpIdentifier} is not in the directory.`);
      await writeSecret(credentialPath(plan.home, srpIdentifier), issued.file);
      await desire({ name, kind, settings: { srpIdentifier } });
    }
    instances.push({ id: created.id, name: created.name, srpIdentifier: created.srpIdentifier });
  }
  await applyBudget(
    tx,
    await readBudget(tx),
    instances.map((instance) => instance.id),
  );
  for (let number = 1; number <= plan.administrationServices; number++) {
    await desire({ name: `administration-${number}`, kind: 'administration', settings: {} });
  }
  const token = await createToken(tx, 'first-administrator');
  await writeSecret(join(plan.home, 'admin.json'), { token });
  return { publicUrl, instances, token };
}

async function writeRouterFiles(
  plan: NewDomainPlan,
  publicUrl: string,
  authority: Authority,
  now: Date,
): Promise<void> {
  const pair = await createEcKeyPair();
  await writeSecret(routerFilePath(plan.home, routerName), {
    certificatePem: issueRouterCertificate({
      ...{ authority, publicKeySpkiDer: spkiDerOf(pair.publicKey), now },
      domain: { name: plan.name, tunnelHost: plan.tunnelHost, publicUrl },
    }),
    privateKeyPem: privateKeyPemOf(pair.privateKey),
    domainAuthorityPem: new X509Certificate(authority.certificateDer).toString(),
  });
}

/** The key file of the home; made where there is none. */
async function masterKeysOf(home: string): Promise<MasterKeys> {
  const path = join(home, 'keys', 'master.json');
  await mkdir(join(home, 'keys'), { recursive: true, mode: 0o700 });
  const keys = createMasterKeys();
  try {
    await writeMasterKeys(path, keys);
    return keys;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return await readMasterKeys(path);
    throw error;
  }
}

async function writeSecret(path: string, content: object): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  await writeFile(path, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
}
