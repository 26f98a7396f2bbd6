/**
 * What an administration service renews for the domain when a third of the lifetime is left, or the lifetime has not
 * begun: certificates of the routers of its home and the profile signer, which running routers and instances,
 * respectively, pick up; a router's certificate also when another domain authority issues by now. And it retires a former
 * device authority of which no valid identity is left.
 *
 * A router keeps its key, to which its row is bound, and the names and addresses of its certificate. For routers of
 * other homes the status shows the expiry, written by the administration service there.
 */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { recorded } from '../../access/audit/record.ts';
import type { Clock } from '../../base/clock.ts';
import { createUpkeep, type Upkeep } from '../../component/upkeep.ts';
import type { Database, Transaction } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import { writeWholeFile } from '../../database/whole-file.ts';
import { countFormerIdentities, isFormerIdentityInUse } from '../../devices/former-identities.ts';
import { type Authority, loadDomainAuthority } from '../../domain/authorities.ts';
import { renewProfileSigner } from '../../domain/authority-creation.ts';
import { isRollSettled, readFormerIssuer, retireFormerDeviceAuthority } from '../../domain/device-authority-roll.ts';
import { readDomain } from '../../domain/domain.ts';
import { recordEvent } from '../../domain/events.ts';
import { type DomainTrust, readDomainTrust } from '../../instances/domain-trust.ts';
import {
  isRouterCertificateDue,
  isTrustingRouterFile,
  type RouterFile,
  readRouterFile,
  routerCertificateDays,
  routerFilePath,
  trustingRouterFile,
} from '../../link/router-file.ts';
import { issuerAmong } from '../../link/trusted-authorities.ts';
import type { Logger } from '../../process/log/logger.ts';
import { issueCertificate, randomSerialHex, validFrom } from '../../protocol/x509/certificate.ts';
import { routersOf } from '../../routers/certificate-ends.ts';
import { isFormerRouter } from '../../routers/router-addresses.ts';

interface CertificateUpkeep {
  readonly db: Database;
  readonly release: string;
  /** Of this administration service, for the record. */
  readonly name: string;
  readonly home: string;
  readonly host: string;
  readonly masterKeys: MasterKeys;
  readonly clock: Clock;
  /** What certificates are judged and issued by; default: the database's time. */
  readonly now?: () => Promise<Date>;
  readonly log: Logger;
}

export function createCertificateUpkeep(parts: CertificateUpkeep): Upkeep {
  const { db, release, name, home, host, masterKeys, clock, now: present = () => databaseTime(db), log } = parts;

  async function write<Result>(operation: string, work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const by = { actor: name, operation, subjects: [], from: { component: name }, when: 'changed' } as const;
    return await administrationTransaction(db, release, (tx) => recorded(tx, by, work));
  }

  async function renewRouters(): Promise<void> {
    const now = await present();
    for (const router of await routersOf(home)) {
      if (await isFormerRouter(db, { name: router, host })) continue;
      const path = routerFilePath(home, router);
      const file = await readRouterFile(path);
      const trust = await readDomainTrust(db);
      const isDue = isRouterCertificateDue(file.certificatePem, now) || !isOfIssuer(file, trust);
      if (!isDue) {
        if (isTrustingRouterFile(file, trust)) continue;
        await writeRouterFile(path, file, trust);
        log.info({ router }, 'what the router trusts after its next start is in its file');
        continue;
      }
      await write('renew router certificate', async (tx) => {
        const authority = await loadDomainAuthority(tx, masterKeys);
        const certificatePem = renewedCertificate(file, authority, now);
        await writeRouterFile(path, { ...file, certificatePem }, await readDomainTrust(tx));
        const endsAt = new X509Certificate(certificatePem).validToDate.toISOString();
        const message = `The certificate of the router ${router} was renewed; it expires on ${endsAt.slice(0, 10)}.`;
        await recordEvent(tx, { kind: 'router-certificate-renewed', subject: router, message, detail: { endsAt } });
      });
      log.info({ router }, 'router certificate renewed');
    }
  }

  async function renewSigner(): Promise<void> {
    const renewed = await write('renew profile signer', async (tx) => {
      return await renewProfileSigner(tx, masterKeys, await readDomain(tx), await present());
    });
    if (renewed) log.info('profile signer renewed');
  }

  /** Counted in the transaction that retires. By then every instance issues by the present one. */
  async function retireFormer(): Promise<void> {
    if (!(await isRollSettled(db))) return;
    const retired = await write('retire former device authority', async (tx) => {
      const former = await readFormerIssuer(tx);
      if (former === null || (await isFormerIdentityInUse(tx, former))) return false;
      if ((await countFormerIdentities(tx, former)).valid > 0) return false;
      await retireFormerDeviceAuthority(tx, masterKeys, await readDomain(tx), await present());
      const message = 'No valid identity of the former device authority is left: it is retired.';
      await recordEvent(tx, { kind: 'device-authority-retired', message });
      return true;
    });
    if (retired) log.info('the former device authority is retired');
  }

  return createUpkeep({
    of: 'certificates',
    steps: {
      'renew routers': renewRouters,
      'renew the profile signer': renewSigner,
      'retire the former device authority': retireFormer,
    },
    clock,
    log,
  });
}

function isOfIssuer({ certificatePem }: RouterFile, { authorities }: DomainTrust): boolean {
  return issuerAmong(new X509Certificate(certificatePem), authorities.slice(0, 1)) !== null;
}

async function writeRouterFile(path: string, file: RouterFile, trust: DomainTrust): Promise<void> {
  await writeWholeFile(path, `${JSON.stringify(trustingRouterFile(file, trust), null, 2)}\n`, 'w');
}

/** For the same key, names and addresses. */
function renewedCertificate(file: RouterFile, authority: Authority, now: Date): string {
  const present = new X509Certificate(file.certificatePem);
  const { CN: commonName, O: organization } = present.toLegacyObject().subject as { CN?: string; O?: string };
  const names = (present.subjectAltName ?? '').split(', ');
  const named = (prefix: string) =>
    names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  const certificateDer = issueCertificate({
    authority,
    publicKey: { spkiDer: createPublicKey(file.privateKeyPem).export({ type: 'spki', format: 'der' }) },
    subject: {
      ...(commonName === undefined ? {} : { commonName }),
      ...(organization === undefined ? {} : { organization }),
    },
    days: routerCertificateDays,
    serialHex: randomSerialHex(),
    usage: 'server',
    dnsNames: named('DNS:'),
    ipAddresses: named('IP Address:'),
    notBefore: validFrom(now),
  });
  return new X509Certificate(certificateDer).toString();
}
