/** Devices in a copy of a domain that is only tried. Invariant: what runs on it wakes nobody. */
import type { Queryable } from '../database/connection.ts';
import { column } from '../states/stored-names.ts';

/** As if the wake service had reported every address as dead. */
export async function forgetWakeAddresses(q: Queryable): Promise<void> {
  await q`update device set ${column(q, 'wakeState')} = 'wait-for-token'`;
}
