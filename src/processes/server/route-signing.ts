/**
 * Signs an instance's answers to routers by the route signer that the domain has now: read again when an authority was
 * replaced. Invariant: if it cannot be read, the known one stays in use.
 */
import { X509Certificate } from 'node:crypto';
import { createBell } from '../../base/bell.ts';
import { messageOf } from '../../base/errors.ts';
import { takeTurns } from '../../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database } from '../../database/connection.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import { loadRouteSigner } from '../../domain/authorities.ts';
import type { RouteEnvelope } from '../../link/messages.ts';
import { signRoutes } from '../../link/signed-envelope.ts';
import type { Logger } from '../../process/log/logger.ts';
import type { ComponentDetail } from '../../registry/component-detail.ts';

export interface RouteSigning {
  sign(value: unknown): RouteEnvelope;
  /** Follows the domain until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** For the component's detail. */
  detail(): Pick<ComponentDetail, 'routeSignerSerial'>;
}

/** After a failure. */
const againMs = 1000;

/** @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE */
export async function createRouteSigning(parts: {
  db: Database;
  keys: MasterKeys;
  log: Logger;
}): Promise<RouteSigning> {
  const { db, keys, log } = parts;
  let present = await loadRouteSigner(db, keys);

  async function look(): Promise<number> {
    try {
      const found = await loadRouteSigner(db, keys);
      if (found.signer.certificateDer.equals(present.signer.certificateDer)) return lateLookMs;
      present = found;
      log.info({ serial: serialOf(present) }, 'routes are signed by another route signer from now on');
      return lateLookMs;
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the route signer could not be read again; keeping the known one');
      return againMs;
    }
  }

  return {
    sign: (value) => {
      const { signer, name } = present;
      return signRoutes(value, signer.privateKeyPem, name === 'route-signer' ? signer.certificateDer : undefined);
    },
    run: async (signal) => {
      const bell = createBell();
      const listening = await ringAtChanges(db, ['authority'], bell);
      await takeTurns(bell, signal, look);
      await listening.unlisten();
    },
    detail: () => (present.name === 'route-signer' ? { routeSignerSerial: serialOf(present) } : {}),
  };
}

function serialOf({ signer }: Awaited<ReturnType<typeof loadRouteSigner>>): string {
  return new X509Certificate(signer.certificateDer).serialNumber;
}
