/**
 * When the certificates that the domain issued for itself end: authorities and what stands below them, routers, and the
 * newest SRP credential of each holder. A router that was removed does not count, though its folder stays, nor does that folder once
 * a router of its name is on another host.
 */
import { X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Queryable } from '../database/connection.ts';
import { type AuthorityName, listAuthorityCertificates } from '../domain/authorities.ts';
import { listNewestCredentials } from '../instances/srp-credential-store.ts';
import { readRouterFile, routerFilePath } from '../link/router-file.ts';
import { listRouterEnds } from './router-addresses.ts';

export type CertificateEnd = { readonly endsAt: Date } & (
  | { readonly kind: 'authority'; readonly name: AuthorityName }
  | { readonly kind: 'router' | 'further-router' | 'srp'; readonly name: string }
);

/** Routers of other homes are seen from here if their hosts joined. */
export async function listCertificateEnds(
  q: Queryable,
  { home, host }: { home: string; host: string },
): Promise<CertificateEnd[]> {
  const authorities = await listAuthorityCertificates(q);
  const credentials = await listNewestCredentials(q);
  const placed = await listRouterEnds(q);
  const routers: CertificateEnd[] = [];
  for (const name of await routersOf(home)) {
    if (placed.some((router) => router.name === name && (router.removed || router.host !== host))) continue;
    const { certificatePem } = await readRouterFile(routerFilePath(home, name));
    routers.push({ kind: 'router', name, endsAt: endOf(certificatePem) });
  }
  for (const { name, endsAt, removed } of placed) {
    if (removed || endsAt === null || routers.some((router) => router.name === name)) continue;
    routers.push({ kind: 'further-router', name, endsAt });
  }
  return [
    ...authorities.map(({ name, certificate }) => ({ kind: 'authority' as const, name, endsAt: endOf(certificate) })),
    ...routers,
    ...credentials.map(({ holder, endsAt }) => ({ kind: 'srp' as const, name: holder, endsAt })),
  ];
}

/** In words. */
export function certificateName({ kind, name }: Pick<CertificateEnd, 'kind' | 'name'>): string {
  if (kind === 'authority') return `${name} authority`;
  return kind === 'srp' ? `SRP of ${name}` : `router ${name}`;
}

/** Names of the routers with their certificate in this home. */
export async function routersOf(home: string): Promise<string[]> {
  const entries = await readdir(join(home, 'router'), { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

function endOf(certificate: Buffer | string): Date {
  return new X509Certificate(certificate).validToDate;
}
