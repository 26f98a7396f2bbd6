/**
 * Who has to sign routes by the new route signer before the former one is retired, and the retirement.
 *
 * Protects: no instance's answers are refused by routers, so no device waits: each that is registered and did not say goodbye
 * has reported that it signs by the new one. One that starts later reads it then.
 */
import { BrambleError } from '../../base/errors.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import { readRouteSigners, retireFormerRouteSigner } from '../../domain/route-signer-roll.ts';
import { nobody, takeRevocations } from '../../instances/srp-credential-store.ts';
import { normalSerial } from '../../link/messages.ts';
import { componentDetailShape } from '../../registry/component-detail.ts';
import { listComponents } from '../../registry/components.ts';

/** Null without a rollover. */
export async function routeSignerRollover(q: Queryable): Promise<{ waitsFor: string[] } | null> {
  return (await readRouteSigners(q)).former === null ? null : { waitsFor: await instancesOfAnother(q) };
}

/** Instances that are not known to sign by the present one. */
async function instancesOfAnother(q: Queryable): Promise<string[]> {
  const { present } = await readRouteSigners(q);
  const others = (await listComponents(q)).filter(({ kind, stoppedAt, detail }) => {
    if (kind !== 'server' || stoppedAt !== null) return false;
    return componentDetailShape.safeParse(detail).data?.routeSignerSerial !== present;
  });
  return others.map(({ name, host, alive }) => `${name} on ${host}${alive ? '' : ' (not running)'}`);
}

/** @throws BrambleError ERR_STATE without a rollover, or while an instance may sign by the former one */
export async function retireRouteSigner(tx: Transaction, keys: MasterKeys): Promise<void> {
  const { serial, expiresAt } = await retireFormerRouteSigner(tx, keys);
  const waitsFor = await instancesOfAnother(tx);
  if (waitsFor.length > 0) {
    throw new BrambleError(
      'ERR_STATE',
      `Not known to sign routes by the new route signer: ${waitsFor.join(', ')}. Nothing was changed. An instance takes seconds once ` +
        'it runs; one that is gone for good is forgotten with `bramble component forget <name>`.',
      { details: { waitsFor } },
    );
  }
  await takeRevocations(tx, [{ serial: normalSerial(serial), identifier: nobody, expiresAt }]);
}
