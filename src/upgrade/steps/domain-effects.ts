/** The coordinator's effects outside database transactions: migrations, checks, credential files. */

import { existsSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Operation, recorded } from '../../access/audit/record.ts';
import { passwordIn } from '../../base/database-address.ts';
import { BrambleError } from '../../base/errors.ts';
import { isSrpIdentifier } from '../../base/ids.ts';
import { readCluster } from '../../database/embedded/cluster.ts';
import { migrate } from '../../database/migrate.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import { storedReleases, storeRelease, storesReleases } from '../../distribution/release-store.ts';
import { loadDomainAuthority } from '../../domain/authorities.ts';
import { createMissingSigners } from '../../domain/authority-creation.ts';
import { readDomain } from '../../domain/domain.ts';
import { listHosts } from '../../hosts/hosts.ts';
import { readDomainTrust } from '../../instances/domain-trust.ts';
import { issueSrpCredential } from '../../instances/srp-credentials.ts';
import { credentialPath, readCredential } from '../../link/credential.ts';
import { readInstalled } from '../../release/archive.ts';
import { manifestName, programName } from '../../release/manifest.ts';
import { routerAddresses } from '../../routers/router-addresses.ts';
import { keepFirstSigner } from '../fence/release-trust.ts';
import type { CheckOptions } from '../plan/checks/check.ts';
import { runChecks } from '../plan/checks.ts';
import type { UpgradeEffects } from './step-context.ts';

interface DomainEffectsOptions extends CheckOptions {
  masterKeys: MasterKeys;
}

/** Of a coordinator on this host. Each can be repeated after an interruption. */
export function domainEffects(options: DomainEffectsOptions): UpgradeEffects {
  const migrateTo = async (contract: boolean) =>
    await migrate(options.databaseUrl, {
      folder: options.migrations,
      release: options.release,
      contract,
      applicationName: options.applicationName,
    });
  return {
    check: (upgrade, begins) => runChecks(options, upgrade, begins),
    expand: async () => {
      const schemaVersion = await migrateTo(false);
      // Before the first instance of this release starts and reads them.
      const own = await readInstalled(join(options.home, 'releases', options.release));
      await options.db.begin((tx) =>
        recorded(tx, operationOf(options, 'make-signers'), async () => {
          await createMissingSigners(tx, options.masterKeys, await readDomain(tx));
          await keepFirstSigner(tx, own);
        }),
      );
      return schemaVersion;
    },
    distribute: async (release) => {
      const { db } = options;
      if (!(await storesReleases(db)) || (await listHosts(db)).length === 0) return;
      const stored = (await storedReleases(db)).get(release);
      // Another build is replaced only by the release that knows itself to be the right one; a reversal asks at every turn.
      if (stored !== undefined && release !== options.release) return;
      if (stored === (await readInstalled(join(options.home, 'releases', release))).manifestSha256) return;
      await db.begin((tx) =>
        recorded(tx, operationOf(options, 'store-release'), () => storeRelease(tx, options.home, release)),
      );
    },
    lacking: async (release) => {
      const folder = join(options.home, 'releases', release);
      return [manifestName, programName].every((name) => existsSync(join(folder, name))) ? [] : [options.host];
    },
    contract: async () => {
      const schemaVersion = await migrateTo(true);
      // The previous release's supervisor gave every process the superuser's address; the next one finds these credentials.
      if (await isOwnSuperuser(options)) await establishRoles(options.databaseUrl, options.home);
      return schemaVersion;
    },
    issueCredential: async (tx, identifier, like) => {
      if (!isSrpIdentifier(identifier)) throw new TypeError(`${identifier} is not an SRP identifier`);
      const authority = await loadDomainAuthority(tx, options.masterKeys);
      // The instance that it replaces may run on another host.
      const routers = await readCredential(options.home, like).then(
        (credential) => credential.routers,
        async () => await routerAddresses(tx, options.home),
      );
      const issued = await issueSrpCredential(tx, { identifier, authority, routers, trust: await readDomainTrust(tx) });
      if (issued === 'not-found') {
        throw new BrambleError('ERR_NOT_FOUND', `The SRP identifier ${identifier} does not exist.`);
      }
      // The file comes first: if the transaction is lost, so is the identifier, and the file is of no use.
      const path = credentialPath(options.home, identifier);
      await writeFile(`${path}.new`, `${JSON.stringify(issued.file)}\n`, { mode: 0o600 });
      await rename(`${path}.new`, path);
    },
  };
}

function operationOf({ release, host }: DomainEffectsOptions, step: string): Operation {
  return {
    actor: 'coordinator',
    operation: `upgrade step ${step}`,
    subjects: [release],
    from: { component: 'coordinator', host },
    when: 'changed',
  };
}

/** Whether the connection is to the embedded server of this home, as its superuser. */
async function isOwnSuperuser({ databaseUrl, home }: DomainEffectsOptions): Promise<boolean> {
  const cluster = await readCluster(join(home, 'postgres'));
  return cluster !== null && passwordIn(databaseUrl) === cluster.password;
}
