/** Where a supervisor leaves the request for a router's certificate, and finds the answer. */
import type { Queryable } from '../database/connection.ts';
import type { SignedEnvelope } from '../link/messages.ts';

/** Can be repeated: the same request keeps its answer. False where the domain has no such router. */
export async function storeRouterRequest(q: Queryable, router: string, envelope: SignedEnvelope): Promise<boolean> {
  const { count } = await q`
    insert into router_request as r (router, payload, signature)
    select name, ${envelope.payload}, ${envelope.signature} from router where name = ${router} and removed_at is null
    on conflict (router) do update
       set payload = excluded.payload, signature = excluded.signature, requested_at = clock_timestamp(),
           answered_at = null, certificate = null, refusal = null
     where r.signature <> excluded.signature`;
  if (count === 1) return true;
  return (await readRouterAnswer(q, router, envelope)).kind !== 'gone';
}

export type RouterAnswer =
  | { kind: 'open' }
  | { kind: 'certificate'; certificatePem: string }
  | { kind: 'refused'; reason: string }
  /** Withdrawn, or another one has taken its place. */
  | { kind: 'gone' };

export async function readRouterAnswer(q: Queryable, router: string, envelope: SignedEnvelope): Promise<RouterAnswer> {
  const [row] = await q<{ certificate: string | null; refusal: string | null }[]>`
    select certificate, refusal from router_request where router = ${router} and signature = ${envelope.signature}`;
  if (row === undefined) return { kind: 'gone' };
  if (row.certificate !== null) return { kind: 'certificate', certificatePem: row.certificate };
  return row.refusal === null ? { kind: 'open' } : { kind: 'refused', reason: row.refusal };
}
