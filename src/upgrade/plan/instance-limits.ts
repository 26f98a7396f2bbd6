/** How much one instance may take, and whether the destinations of a plan are large enough. Pure, apart from the counts. */
import type { PlanOptions } from '../../api/upgrade-options.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Queryable } from '../../database/connection.ts';

type InstanceLimits = Pick<PlanOptions, 'maxAccounts' | 'maxDevices'>;

interface InstanceLoad {
  readonly name: string;
  readonly accounts: number;
  readonly devices: number;
}

/** Active devices of these accounts. */
export async function countDevicesOf(q: Queryable, accountIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await q<{ id: string; devices: number }[]>`
    select d.account_id as id, count(*)::int as devices from device d
     where d.account_id = any(${[...accountIds]}::uuid[]) and d.state = 'active' group by d.account_id`;
  return new Map(rows.map(({ id, devices }) => [id, devices]));
}

/** What is too much for which instance; undefined if nothing is. */
export function overloadText(loads: readonly InstanceLoad[], limits: InstanceLimits): string | undefined {
  const tooMuch = loads.flatMap(({ name, accounts, devices }) => [
    ...over(name, accounts, limits.maxAccounts, 'account'),
    ...over(name, devices, limits.maxDevices, 'device'),
  ]);
  return tooMuch.length === 0 ? undefined : tooMuch.join('; ');
}

function over(name: string, count: number, most: number | undefined, one: string): string[] {
  return most === undefined || count <= most ? [] : [`${name} would take ${counted(count, one)}, and may take ${most}`];
}

/** @throws BrambleError ERR_UPGRADE_LIMIT */
export function assertLimits(loads: readonly InstanceLoad[], limits: InstanceLimits): void {
  const tooMuch = overloadText(loads, limits);
  if (tooMuch === undefined) return;
  throw new BrambleError('ERR_UPGRADE_LIMIT', `New instances are too small: ${tooMuch}. ${limitsHelp}`);
}

export const limitsHelp =
  'Plan several destinations (--place, repeated), move accounts to another instance first (`bramble move start --account … ' +
  '--to …`), or raise the limit (--max-accounts, --max-devices).';
