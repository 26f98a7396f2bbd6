/**
 * Adds and removes routers.
 *
 * Invariants: a domain never loses its last router at work. What a removed router still reports about itself while it drains makes no
 * component of it again, which would hold features back.
 */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type * as z from 'zod';
import type { AnswerOf } from '../../api/operation.ts';
import type { RouterView, routerOperations } from '../../api/routers.ts';
import { BrambleError } from '../../base/errors.ts';
import { notFound } from '../../base/not-found.ts';
import { readPresent } from '../../base/present-file.ts';
import { advisoryLock, lockClass } from '../../database/advisory-locks.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { writeWholeFile } from '../../database/whole-file.ts';
import { loadDomainAuthority } from '../../domain/authorities.ts';
import { readDomain } from '../../domain/domain.ts';
import { recordEvent } from '../../domain/events.ts';
import {
  type RouterFile,
  readRouterFile,
  routerFilePath,
  routerFolder,
  srpServerName,
} from '../../link/router-file.ts';
import { readConfiguration } from '../../process/configuration.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { listComponents } from '../../registry/components.ts';
import { listDesiredProcesses, setDesiredProcess } from '../../registry/desired-processes.ts';
import { requireFeature } from '../../registry/features.ts';
import { forgetProcesses } from '../../registry/process-removal.ts';
import { listensOnlyForItself, routerAddresses } from '../../routers/router-addresses.ts';
import { issueRouterCertificate } from '../../routers/router-certificate.ts';
import { type DomainRouter, insertRouter, listRouters, lockRouters, markRemoved } from '../../routers/router-store.ts';
import type { AdministrationContext } from './context.ts';
import { assertNameUnused, assertUsable, taken } from './new-component.ts';

const routerFeature = 'further-routers';

export async function viewRouters({
  db,
  home,
  host: own,
}: AdministrationContext): Promise<Omit<AnswerOf<typeof routerOperations.list>, 'next'>> {
  const [routers, alive, { publicUrl }] = await Promise.all([listRouters(db), namesAtWork(db), readDomain(db)]);
  // The first host does not ask for certificates, so the table does not have its port.
  const ownPort = (await readConfiguration(home).catch(() => undefined))?.publicPort || null;
  const views = routers.map((router): RouterView => {
    const { name, host, linkHost, srpPort, refusal } = router;
    const linkPort = srpPort === null ? null : (router.linkPort ?? srpPort);
    const publicPort = router.publicPort ?? (host === own ? ownPort : null);
    return { name, host, linkHost, linkPort, publicPort, state: stateOf(router, alive), reason: refusal };
  });
  return { routers: views, publicUrl };
}

function stateOf({ name, srpPort, refusal }: DomainRouter, atWork: ReadonlySet<string>): RouterView['state'] {
  if (atWork.has(name)) return 'at-work';
  if (refusal !== null) return 'refused';
  return srpPort === null ? 'waiting' : 'away';
}

/** @throws BrambleError ERR_FEATURE_LOCKED, ERR_NAME_TAKEN, ERR_NOT_FOUND, ERR_CONFLICT, ERR_PUBLIC_HOST */
export async function addRouter(
  context: AdministrationContext,
  tx: Transaction,
  { name, host, linkHost, linkPort }: z.output<typeof routerOperations.add.body>,
  administrator: string,
): Promise<{ name: string; host: string }> {
  await requireFeature(tx, context.features, routerFeature, `The router ${name}`);
  await lockRouters(tx);
  await adoptFormer(context, tx);
  await assertNameUnused(tx, name);
  const asksItself = await assertUsable(context, tx, host);
  if (!asksItself && host !== context.host) {
    throw new BrambleError(
      'ERR_CONFLICT',
      `The host ${host} did not join by an invitation, so it has no key with which to ask for a router’s certificate. Choose one that ` +
        'did, or use an administration service on that host.',
    );
  }
  const present = await listRouters(tx);
  const there = present.find((router) => router.host === host);
  if (there !== undefined) {
    throw new BrambleError(
      'ERR_CONFLICT',
      `The host ${host} has a router already, ${there.name}: a host needs one, as its supervisor keeps one pair of ports.`,
    );
  }
  const fresh = { name, host, linkHost, linkPort: linkPort ?? null, serverName: srpServerName };
  const ports = asksItself ? { srpPort: null, publicPort: null } : await ownPorts(context, linkHost);
  if (!(await insertRouter(tx, { ...fresh, ...ports }))) throw taken('router', name);
  const { release, tunnelHost } = await readDomain(tx);
  if (!asksItself) await writeOwnRouterFile(context, tx, name);
  await setDesiredProcess(tx, { name, host, release, kind: 'router', state: 'running', settings: { tunnelHost } });
  await recordEvent(tx, {
    kind: 'router-added',
    subject: name,
    message: `${administrator} added the router ${name} on ${host}, dialled at ${linkHost}`,
  });
  return { name, host };
}

/** Where a router of this home listens. @throws BrambleError ERR_CONFLICT */
async function ownPorts(
  { home }: AdministrationContext,
  linkHost: string,
): Promise<Pick<DomainRouter, 'srpPort' | 'publicPort'>> {
  const { srpPort, publicPort, listenAddress } = await readConfiguration(home);
  if (srpPort !== 0 && !listensOnlyForItself({ listenAddress, linkHost })) return { srpPort, publicPort };
  throw new BrambleError(
    'ERR_CONFLICT',
    `A router here would listen on ${listenAddress}, port ${srpPort}, where nobody reaches ${linkHost}: set listenAddress and ` +
      'srpPort in the config.json of this home, and restart its supervisor (`bramble up --take-over`).',
  );
}

/**
 * A home that did not join holds its routers' keys from the beginning. A router that was there before keeps its key; whoever wrote a file for
 * a transaction that is lost has written one of no use.
 */
async function writeOwnRouterFile(
  { home, masterKeys }: AdministrationContext,
  tx: Transaction,
  name: string,
): Promise<void> {
  const path = routerFilePath(home, name);
  const present = (await readPresent(path)) === null ? null : await readRouterFile(path);
  const privateKeyPem = present?.privateKeyPem ?? privateKeyPemOf((await createEcKeyPair()).privateKey);
  const authority = await loadDomainAuthority(tx, masterKeys);
  const file: RouterFile = {
    privateKeyPem,
    certificatePem: issueRouterCertificate({
      ...{ authority, publicKeySpkiDer: spkiDerOf(createPublicKey(privateKeyPem)) },
      ...{ domain: await readDomain(tx), now: await databaseTime(tx) },
    }),
    domainAuthorityPem: new X509Certificate(authority.certificateDer).toString(),
  };
  await mkdir(routerFolder(home, name), { recursive: true, mode: 0o700 });
  await writeWholeFile(path, `${JSON.stringify(file, null, 2)}\n`, 'w');
}

/** Those of a domain that was made without addresses: from now on the table says where routers are dialled. */
async function adoptFormer(context: AdministrationContext, tx: Transaction): Promise<void> {
  if ((await listRouters(tx)).length > 0) return;
  const addresses = await routerAddresses(tx, context.home);
  const running = (await listDesiredProcesses(tx)).filter(({ kind }) => kind === 'router');
  for (const [index, { host: linkHost, port, serverName }] of addresses.entries()) {
    const process = running[index];
    if (process === undefined) break;
    const { name, host } = process;
    await insertRouter(tx, { name, host, linkHost, linkPort: null, serverName, srpPort: port, publicPort: null });
  }
}

/** @throws BrambleError ERR_FEATURE_LOCKED, ERR_NOT_FOUND, ERR_ROUTER_IN_USE */
export async function removeRouter(
  context: AdministrationContext,
  tx: Transaction,
  name: string,
  administrator: string,
): Promise<void> {
  await requireFeature(tx, context.features, routerFeature, `Removing the router ${name}`);
  await lockRouters(tx);
  const present = await listRouters(tx);
  if (!present.some((router) => router.name === name)) throw notFound('router', name);
  const atWork = await namesAtWork(tx);
  const others = present.map((router) => router.name).filter((other) => other !== name);
  if (!others.some((other) => atWork.has(other))) {
    const why = others.length === 0 ? 'it is the last one' : `no other one is at work (${others.join(', ')})`;
    throw new BrambleError(
      'ERR_ROUTER_IN_USE',
      `The router ${name} is not removed: ${why}, and devices would reach nobody. Add another one with \`bramble router add\`, ` +
        'or wait until `bramble router list` shows one at work.',
      { details: { router: name } },
    );
  }
  // Registrations under way end first, and later ones see that it is removed.
  await tx`select pg_advisory_xact_lock(${lockClass}, ${advisoryLock.featureLevel})`;
  await markRemoved(tx, name);
  await forgetProcesses(tx, [name]);
  await recordEvent(tx, {
    kind: 'router-removed',
    subject: name,
    message: `${administrator} removed the router ${name}`,
  });
}

/** Alive, and linked to somebody that serves. */
async function namesAtWork(q: Queryable): Promise<Set<string>> {
  const components = await listComponents(q);
  return new Set(
    components
      .filter(({ kind, alive, detail }) => kind === 'router' && alive && isLinked(detail['links']))
      .map(({ name }) => name),
  );
}

function isLinked(links: unknown): boolean {
  return Array.isArray(links) && links.length > 0;
}
