/** The domain's one row: its address, its release and its feature level. */
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';

export interface Domain {
  domainId: string;
  name: string;
  /** `https://host:port`, the address that devices keep for ever. */
  publicUrl: string;
  tunnelHost: string;
  /** The domain's identifier at the wake service that has one for each. */
  wakeChannel: string;
  /** The one release of the database and of administration services. */
  release: string;
  schemaVersion: number;
  /** The release whose features are active. */
  featureLevel: string;
}

/** @throws BrambleError ERR_NO_DOMAIN when the database holds none yet. */
export async function readDomain(q: Queryable): Promise<Domain> {
  const [row] = await q<Domain[]>`
    select domain_id as "domainId", name, public_url as "publicUrl", tunnel_host as "tunnelHost",
           push_topic as "wakeChannel", release, schema_version as "schemaVersion", feature_level as "featureLevel"
      from domain`;
  if (!row) throw new BrambleError('ERR_NO_DOMAIN', 'The database holds no domain yet. Create one with `bramble up`.');
  return row;
}

export type NewDomain = Omit<Domain, 'featureLevel'>;

/** Writes the row; its feature level is its release. Fails on a second one by the primary key. */
export async function insertDomain(q: Queryable, domain: NewDomain): Promise<void> {
  await q`
    insert into domain (domain_id, name, public_url, tunnel_host, push_topic, release, schema_version, feature_level)
    values (${domain.domainId}, ${domain.name}, ${domain.publicUrl}, ${domain.tunnelHost}, ${domain.wakeChannel},
            ${domain.release}, ${domain.schemaVersion}, ${domain.release})`;
}
