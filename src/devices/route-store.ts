/** Answers a router's question about the owners of devices, at any instance, in one statement per batch. */
import type { Queryable } from '../database/connection.ts';
import type { RouteAnswer, RouteQuestion } from '../link/messages.ts';

interface OwnerRow {
  token: string | null;
  certificate: string | null;
  account: string | null;
  identifier: string;
  connectionServices: string[];
}

/** Limits per answer, and for all answers in a message: a router accepts no message above 256 KiB. */
const maxConnectionServices = 64;
const maxConnectionServicesInAll = 8192;

/**
 * One answer per question; for a certificate, which opens tunnels (also one issued and not used yet), with the owner's
 * connection services by name: a router tries them in that order. With many questions at once each answer names fewer.
 * Relies on device_token_key, device_identity_fingerprint_key, device_renewal_identity_fingerprint_key,
 * account_name_key, account_pkey row by row, and connection_service_instance_instance.
 */
export async function answerRoutes(q: Queryable, question: RouteQuestion): Promise<RouteAnswer[]> {
  const { accounts = [] } = question;
  const services = Math.min(
    maxConnectionServices,
    Math.floor(maxConnectionServicesInAll / Math.max(1, question.certificates.length)),
  );
  const rows = await q<OwnerRow[]>`
    select asked.token, asked.certificate, asked.account, i.srp_identifier as identifier,
           array(select c.srp_identifier
                   from connection_service_instance r join connection_service c on c.id = r.connection_service_id
                  where r.instance_id = i.id and asked.certificate is not null
                  order by c.name limit ${services}) as "connectionServices"
      from (select t as token, null as certificate, null as account, d.account_id
              from unnest(${question.tokens as string[]}::text[]) t join device d on d.token = t
            union all
            select null, f, null, d.account_id
              from unnest(${question.certificates as string[]}::text[]) f
              join device d on d.identity_fingerprint = f and d.state <> 'gone'
            union all
            select null, f, null, d.account_id
              from unnest(${question.certificates as string[]}::text[]) f
              join device_renewal r on r.identity_fingerprint = f join device d on d.id = r.device_id and d.state <> 'gone'
            union all
            select null, null, n, a.id
              from unnest(${accounts as string[]}::text[]) n join account a on a.name = n) asked
     cross join lateral (select o.instance_id from account o where o.id = asked.account_id offset 0) a
      join instance i on i.id = a.instance_id`;
  const byToken = new Map(rows.filter((row) => row.token !== null).map((row) => [row.token, row]));
  const byCertificate = new Map(rows.filter((row) => row.certificate !== null).map((row) => [row.certificate, row]));
  const byAccount = new Map(rows.filter((row) => row.account !== null).map((row) => [row.account, row]));
  return [
    ...question.tokens.map((token) => ({ token, ...ownerOf(byToken.get(token)) })),
    ...question.certificates.map((certificate) => ({ certificate, ...ownerOf(byCertificate.get(certificate)) })),
    ...accounts.map((account) => ({ account, ...ownerOf(byAccount.get(account)) })),
  ];
}

function ownerOf(row: OwnerRow | undefined): Pick<RouteAnswer, 'identifier' | 'connectionServices'> {
  return { identifier: row?.identifier ?? null, connectionServices: row?.connectionServices ?? [] };
}
