/**
 * Who has to be ready before the domain authority's rollover goes a step further, and the steps.
 *
 * Protects: no component is locked out. Before the successor issues, each that may be at work trusts it; before an authority is
 * retired, each that is registered or is to run has a certificate of the other one and trusts it, whether it is at work or not:
 * nobody could give it another one by itself afterwards.
 */
import { BrambleError } from '../../base/errors.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import { type AuthorityName, listAuthorityCertificates } from '../../domain/authorities.ts';
import { readLastStatement } from '../../domain/authority-statements.ts';
import { readDomain } from '../../domain/domain.ts';
import { isRotating, readMasterKeyState } from '../../domain/master-key.ts';
import { loadOtherDomainAuthority } from '../../domain/other-domain-authority.ts';
import { readRouteSigners } from '../../domain/route-signer-roll.ts';
import { openInvitationsBefore } from '../../hosts/host-store.ts';
import { withdrawMasterKeys } from '../../hosts/master-key-offers.ts';
import {
  retireDomainAuthority,
  revertDomainAuthority,
  switchDomainAuthority,
} from '../../instances/domain-authority-roll.ts';
import { authorityFingerprint } from '../../link/trusted-authorities.ts';
import { type ComponentDetail, componentDetailShape } from '../../registry/component-detail.ts';
import { listComponents } from '../../registry/components.ts';
import { listDesiredProcesses } from '../../registry/desired-processes.ts';

interface DomainRollover {
  /** `begun`: the successor waits to be trusted; `switched`: it issues. */
  state: 'begun' | 'switched';
  waitsFor: string[];
}

/** Kinds of process that trust a domain authority, or are known by a certificate of it. */
const holders: readonly string[] = ['router', 'server', 'connection'];

/** Null without a rollover. */
export async function domainRollover(q: Queryable, keys: MasterKeys): Promise<DomainRollover | null> {
  const other = await loadOtherDomainAuthority(q, keys);
  if (other === undefined) return null;
  return other.isNext
    ? { state: 'begun', waitsFor: await notTrusting(q) }
    : { state: 'switched', waitsFor: await notSettled(q) };
}

/** @throws BrambleError ERR_STATE while somebody does not trust the successor */
export async function switchAuthority(tx: Transaction, keys: MasterKeys): Promise<void> {
  await switchDomainAuthority(tx, keys, await readDomain(tx), await databaseTime(tx));
  // Exchanged by now: it is the one that issues that has to be trusted.
  refuse(await notTrusting(tx, 'domain'), 'Not known to trust the new domain authority');
}

/**
 * What the one that goes may have signed for hosts goes with it; the rotation of the master key offers it again.
 * @throws BrambleError ERR_STATE while somebody still works with that one
 */
export async function revertAuthority(tx: Transaction, keys: MasterKeys): Promise<void> {
  const other = await loadOtherDomainAuthority(tx, keys);
  await revertDomainAuthority(tx, keys, await readDomain(tx), await databaseTime(tx));
  await withdrawMasterKeys(tx, null);
  if (other?.isNext === true) refuse(await notSettled(tx), 'Not known to work with the domain authority that stays');
}

/** As for {@link revertAuthority}. @throws BrambleError ERR_STATE while somebody still works with the former one */
export async function retireAuthority(tx: Transaction, keys: MasterKeys): Promise<void> {
  const waitsFor = await notSettled(tx);
  await retireDomainAuthority(tx, keys, await databaseTime(tx));
  await withdrawMasterKeys(tx, null);
  refuse(waitsFor, 'Not known to work with the new domain authority');
}

function refuse(waitsFor: readonly string[], who: string): void {
  if (waitsFor.length === 0) return;
  throw new BrambleError(
    'ERR_STATE',
    `${who}: ${waitsFor.join(', ')}. Nothing was changed. A component takes a minute or two once it runs; one that is gone for good ` +
      'is forgotten with `bramble component forget <name>`, and one that is not to run is retired or removed.',
    { details: { waitsFor } },
  );
}

/** Components that may be at work and do not report that they trust this one. */
async function notTrusting(q: Queryable, name: AuthorityName = 'domain-other'): Promise<string[]> {
  const fingerprint = await fingerprintOf(q, name);
  const components = (await listComponents(q)).filter(
    ({ kind, stoppedAt }) => holders.includes(kind) && stoppedAt === null,
  );
  return components
    .filter(({ detail }) => fingerprint === null || !reportOf(detail)?.trusts.includes(fingerprint))
    .map(({ name: component, host, alive }) => `${component} on ${host}${alive ? '' : ' (not running)'}`);
}

/** Whatever works, or could, with another one than that which issues. */
async function notSettled(q: Queryable): Promise<string[]> {
  const fingerprint = await fingerprintOf(q, 'domain');
  const { present } = await readRouteSigners(q);
  const components = (await listComponents(q)).filter(({ kind }) => holders.includes(kind));
  const lacking = components.filter(({ kind, stoppedAt, detail }) => {
    const report = reportOf(detail);
    if (fingerprint === null || report?.credentialBy !== fingerprint || !report.trusts.includes(fingerprint))
      return true;
    return kind === 'server' && stoppedAt === null && detailOf(detail).routeSignerSerial !== present;
  });
  const absent = (await listDesiredProcesses(q)).filter(
    ({ kind, name, state }) =>
      holders.includes(kind) && state === 'running' && !components.some((component) => component.name === name),
  );
  const last = await readLastStatement(q);
  const invitations = last === null ? [] : await openInvitationsBefore(q, last.madeAt);
  const rotating = isRotating(await readMasterKeyState(q));
  return [
    ...lacking.map(({ name, host, alive }) => `${name} on ${host}${alive ? '' : ' (not running)'}`),
    ...absent.map(({ name, host }) => `${name} on ${host} (not running)`),
    ...invitations.map((host) => `the invitation of ${host}, which names the former one: invite it again`),
    ...(rotating ? ['the rotation of the master key, whose messages to hosts the former one signed'] : []),
  ];
}

async function fingerprintOf(q: Queryable, wanted: AuthorityName): Promise<string | null> {
  const found = (await listAuthorityCertificates(q)).find(({ name }) => name === wanted);
  return found === undefined ? null : authorityFingerprint(found.certificate);
}

const detailOf = (detail: unknown): ComponentDetail => componentDetailShape.safeParse(detail).data ?? {};
const reportOf = (detail: unknown) => detailOf(detail).authorities;
