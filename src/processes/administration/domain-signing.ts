/**
 * What an administration service signs for the domain in the background: the revocation list whenever its number has
 * risen, and certificates for SRP credentials due for renewal and for routers on hosts that joined. All are used unchanged.
 */
import { createBell } from '../../base/bell.ts';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { takeTurns } from '../../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database } from '../../database/connection.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import { loadDomainAuthority } from '../../domain/authorities.ts';
import { hostKey } from '../../hosts/hosts.ts';
import { answerRenewals, hasOpenRenewal } from '../../instances/credential-issuing.ts';
import {
  readSignedRevocationList,
  revocationList,
  revocationListNumber,
  storeSignedRevocationList,
} from '../../instances/srp-credential-store.ts';
import { signEnvelope } from '../../link/signed-envelope.ts';
import type { Logger } from '../../process/log/logger.ts';
import { isPlacedOn } from '../../registry/desired-processes.ts';
import { routerAddresses } from '../../routers/router-addresses.ts';
import { answerRouterRequests, hasOpenRouterRequest } from '../../routers/router-answers.ts';

interface DomainSigning {
  db: Database;
  release: string;
  home: string;
  masterKeys: MasterKeys;
  log: Logger;
}

/** Signs what is pending, once. Idempotent, and safe to run concurrently. */
export async function signForDomain({ db, release, home, masterKeys, log }: DomainSigning): Promise<void> {
  const signed = await readSignedRevocationList(db);
  if (signed === undefined || signed.number < (await revocationListNumber(db))) {
    await administrationTransaction(db, release, async (tx) => {
      const list = await revocationList(tx);
      const { privateKeyPem } = await loadDomainAuthority(tx, masterKeys);
      await storeSignedRevocationList(tx, { number: list.number, envelope: signEnvelope(list, privateKeyPem) });
    });
  }
  if (await hasOpenRenewal(db)) {
    const answered = await administrationTransaction(db, release, (tx) =>
      answerRenewals(tx, () => loadDomainAuthority(tx, masterKeys), {
        hostKey,
        isPlaced: isPlacedOn,
        routers: (q) => routerAddresses(q, home),
      }),
    );
    for (const { identifier, refusal } of answered) {
      if (refusal === null) log.info({ identifier }, 'SRP credential issued on request');
      else log.warn({ identifier, reason: refusal }, 'SRP credential not issued on request');
    }
  }
  if (await hasOpenRouterRequest(db)) {
    const answered = await administrationTransaction(db, release, (tx) =>
      answerRouterRequests(tx, () => loadDomainAuthority(tx, masterKeys)),
    );
    for (const { router, refusal } of answered) {
      if (refusal === null) log.info({ router }, 'router certificate issued on request');
      else log.warn({ router, reason: refusal }, 'router certificate not issued on request');
    }
  }
}

/** After a failure. */
const againMs = 1000;

/** Signs whenever its inputs were written, until the signal is aborted; failures are retried. */
export async function keepSigning(signing: DomainSigning, clock: Clock, signal: AbortSignal): Promise<void> {
  const bell = createBell(clock);
  const listening = await ringAtChanges(
    signing.db,
    ['srp_renewal', 'srp_credential', 'srp_clearance', 'router_request'],
    bell,
  );
  await takeTurns(bell, signal, async () => {
    let restMs = lateLookMs;
    await signForDomain(signing).catch((error: unknown) => {
      restMs = againMs;
      if (!signal.aborted) signing.log.warn({ reason: messageOf(error) }, 'not signed for the domain; will retry');
    });
    return restMs;
  });
  await listening.unlisten();
}
