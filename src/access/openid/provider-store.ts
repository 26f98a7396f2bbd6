/** OpenID providers as administrators set and see them. */

import { returnPathOf } from '../../api/openid.ts';
import type { NewProvider, ProviderChange, ProviderView } from '../../api/openid-providers.ts';
import { BrambleError } from '../../base/errors.ts';
import { fieldError } from '../../base/field-error.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import { type Rules, rulesShape } from './rules.ts';
import { sealClientSecret } from './sealed-client-secret.ts';

const maxProviders = 16;

export interface StoredProvider {
  name: string;
  title: string;
  issuer: string;
  clientId: string;
  secret: Buffer | null;
  keyId: string | null;
  scopes: string[];
  nameClaim: string;
  claim: string;
  rules: Rules;
  caPem: string | null;
  asksFactor: boolean;
  enabled: boolean;
  revision: number;
}

/** For those who sign in, by title. */
export async function offeredProviders(q: Queryable): Promise<{ name: string; title: string }[]> {
  return await q<{ name: string; title: string }[]>`
    select name, title from openid_provider where enabled order by title, name`;
}

export async function readProvider(q: Queryable, name: string): Promise<StoredProvider | undefined> {
  const [row] = await q<StoredProvider[]>`
    select name, title, issuer, client_id as "clientId", secret, key_id as "keyId", scopes, name_claim as "nameClaim", claim,
           rules, ca_pem as "caPem", factor as "asksFactor", enabled, revision::float8 as revision
      from openid_provider where name = ${name}`;
  return row === undefined ? undefined : { ...row, rules: rulesShape.parse(row.rules) };
}

type Row = Omit<ProviderView, 'rules' | 'returnPath'> & { rules: unknown };

/** By name. @param name of one; null for all */
export async function listProviders(q: Queryable, name: string | null = null): Promise<ProviderView[]> {
  const rows = await q<Row[]>`
    select p.name, p.title, p.issuer, p.client_id as "clientId", p.secret is not null as "hasSecret", p.scopes,
           p.name_claim as "nameClaim", p.claim, p.rules, p.ca_pem as "caPem", p.factor as "asksFactor", p.enabled, p.created_at as "createdAt",
           p.created_by as "createdBy", p.revision::float8 as revision,
           (select count(*)::int from administrator_identity i where i.provider = p.name) as administrators
      from openid_provider p ${name === null ? q`` : q`where p.name = ${name}`} order by p.name`;
  const providers = rows.map((row) => ({ ...row, rules: rulesShape.parse(row.rules) }));
  const ids = providers.flatMap(({ rules }) => rules.flatMap(({ groups }) => groups ?? []));
  const groups = await q<{ id: string; name: string }[]>`
    select id, name from account_group where id = any(${ids}::uuid[])`;
  const names = new Map(groups.map((group) => [group.id, group.name]));
  return providers.map((provider) => ({
    ...provider,
    rules: provider.rules.map((rule) => ({
      ...rule,
      groups: rule.groups?.flatMap((id) => names.get(id) ?? []) ?? null,
    })),
    returnPath: returnPathOf(provider.name),
  }));
}

/** @throws BrambleError ERR_INPUT, ERR_NAME_TAKEN, or ERR_CONFLICT when there are too many */
export async function insertProvider(
  tx: Transaction,
  keys: MasterKeys,
  given: Omit<NewProvider, 'rules'> & { rules: Rules; createdBy: string },
): Promise<void> {
  const { name, clientId, scopes, nameClaim, claim, rules, caPem, asksFactor, createdBy } = given;
  const issuer = issuerOf(given.issuer);
  const [present] = await tx<{ count: number }[]>`select count(*)::int as count from openid_provider`;
  if ((present?.count ?? 0) >= maxProviders) {
    throw new BrambleError('ERR_CONFLICT', `There are ${maxProviders} providers already: remove one first.`);
  }
  const { secret, keyId } = sealed(keys, { name, issuer }, given.secret ?? null);
  const { count } = await tx`
    insert into openid_provider (name, title, issuer, client_id, secret, key_id, scopes, name_claim, claim, rules, ca_pem, factor,
                                 created_by)
    values (${name}, ${given.title ?? name}, ${issuer}, ${clientId}, ${secret}, ${keyId}, ${scopes}, ${nameClaim}, ${claim},
            ${tx.json(rules)}, ${caPem}, ${asksFactor}, ${createdBy})
    on conflict (name) do nothing`;
  if (count === 1) return;
  throw new BrambleError('ERR_NAME_TAKEN', `There is an OpenID provider ${name} already. Choose another name.`);
}

/** @param present locked */
export async function changeProvider(
  tx: Transaction,
  keys: MasterKeys,
  present: StoredProvider,
  change: Omit<ProviderChange, 'rules'> & { rules?: Rules | undefined },
): Promise<void> {
  const changed = { ...present, ...given(change) };
  const { secret, keyId } = change.secret === undefined ? present : sealed(keys, present, change.secret);
  await tx`
    update openid_provider
       set title = ${changed.title}, client_id = ${changed.clientId}, secret = ${secret}, key_id = ${keyId},
           scopes = ${changed.scopes}, name_claim = ${changed.nameClaim}, claim = ${changed.claim},
           rules = ${tx.json(changed.rules)}, ca_pem = ${changed.caPem}, factor = ${changed.asksFactor}, enabled = ${changed.enabled}
     where name = ${present.name}`;
}

/** Without the members that are undefined, and without the secret. */
function given({ secret: _, ...change }: Omit<ProviderChange, 'rules'> & { rules?: Rules | undefined }) {
  return Object.fromEntries(
    Object.entries(change).filter(([, value]) => value !== undefined),
  ) as Partial<StoredProvider>;
}

function sealed(keys: MasterKeys, provider: { name: string; issuer: string }, secret: string | null) {
  return secret === null ? { secret: null, keyId: null } : sealClientSecret(keys, provider, secret);
}

/** The row is locked until the transaction ends. */
export async function lockProvider(tx: Transaction, name: string): Promise<StoredProvider | undefined> {
  await tx`select from openid_provider where name = ${name} for no key update`;
  return await readProvider(tx, name);
}

/** Those whose administrators signed in there do not go on. */
export async function endSessionsBy(tx: Transaction, provider: string): Promise<void> {
  await tx`
    update administrator_session s set ended_at = now() from administrator_identity i
     where i.provider = ${provider} and s.administrator_id = i.administrator_id and s.ended_at is null`;
}

export async function removeProvider(tx: Transaction, name: string): Promise<void> {
  await endSessionsBy(tx, name);
  await tx`delete from openid_provider where name = ${name}`;
}

/**
 * The rule of webhooks without its exception: who is asked who somebody is has to be who he says he is, also on this machine.
 * @throws BrambleError ERR_INPUT
 */
function issuerOf(text: string): string {
  const url = URL.parse(text);
  if (url === null) throw fieldError('body', 'issuer', 'is not a URL');
  if (url.protocol !== 'https:') throw fieldError('body', 'issuer', 'must be https');
  if (url.username !== '' || url.password !== '') {
    throw fieldError('body', 'issuer', 'must not contain a user name or a password');
  }
  if (/[?#\s]|\/\.well-known\//.test(text)) {
    throw fieldError('body', 'issuer', 'must have neither query nor fragment, nor be the address of its document');
  }
  return text;
}
