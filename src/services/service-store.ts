/**
 * The services that devices get service books for. Writes belong to the domain (administration transaction); a change
 * also queues service books for all accounts in the same transaction.
 */
import type { Queryable } from '../database/connection.ts';
import { parseServiceSettings, type ServiceType } from './services.ts';

/** Settings as stored: checked when written, and again when compiled. */
export interface StoredService {
  readonly type: ServiceType;
  readonly settings: unknown;
}

interface ListedService extends StoredService {
  readonly revision: number;
}

export async function listServices(q: Queryable): Promise<ListedService[]> {
  return await q<ListedService[]>`select type, settings, revision::float8 as revision from service order by type`;
}

/** @throws BrambleError ERR_SERVICE_SETTINGS when the settings are invalid for the type. */
export async function putService(q: Queryable, type: ServiceType, settings: unknown): Promise<void> {
  const checked = parseServiceSettings(type, settings);
  await q`
    insert into service (type, settings) values (${type}, ${q.json(checked as never)})
    on conflict (type) do update set settings = excluded.settings`;
}

export async function deleteService(q: Queryable, type: ServiceType): Promise<'deleted' | 'not-found'> {
  const { count } = await q`delete from service where type = ${type}`;
  return count === 0 ? 'not-found' : 'deleted';
}
