/**
 * What a new server instance and a new connection service have in common: a free name, an SRP credential, and a desired
 * process.
 */
import { BrambleError } from '../../base/errors.ts';
import type { SrpIdentifier } from '../../base/ids.ts';
import { notFound } from '../../base/not-found.ts';
import type { Transaction } from '../../database/connection.ts';
import { readDomain } from '../../domain/domain.ts';
import { recordEvent } from '../../domain/events.ts';
import { holdHost } from '../../hosts/hosts.ts';
import { type ComponentKind, listComponents } from '../../registry/components.ts';
import { listDesiredProcesses, setDesiredProcess } from '../../registry/desired-processes.ts';
import { listSupervisors } from '../../registry/supervisors.ts';
import type { AdministrationContext } from './context.ts';
import { deliverSrpCredential } from './srp-issuing.ts';

/** All kinds of processes share one namespace: names identify components, desired processes and logs. */
export async function assertNameUnused(tx: Transaction, wanted: string): Promise<void> {
  const [components, processes] = await Promise.all([listComponents(tx), listDesiredProcesses(tx)]);
  if ([...components, ...processes].some((known) => known.name === wanted)) throw taken('component', wanted);
}

export function taken(what: string, given: string): BrambleError {
  return new BrambleError('ERR_NAME_TAKEN', `The name ${given} is taken by another ${what}. Choose another name.`);
}

/** Has the process started by the supervisor of its host, with a fresh SRP credential. */
export async function startProcess(
  context: AdministrationContext,
  tx: Transaction,
  kind: ComponentKind,
  holder: { name: string; srpIdentifier: SrpIdentifier },
  wantedHost: string | undefined,
  administrator: string,
) {
  const host = wantedHost ?? context.host;
  const requestsItself = await assertUsable(context, tx, host);
  const { release } = await readDomain(tx);
  await setDesiredProcess(tx, {
    name: holder.name,
    kind,
    host,
    release,
    state: 'running',
    settings: { srpIdentifier: holder.srpIdentifier },
  });
  await recordEvent(tx, {
    kind: `${kind}-added`,
    subject: holder.name,
    message: `${administrator} added ${holder.name} (${holder.srpIdentifier}) on ${host}`,
  });
  const added = { name: holder.name, srpIdentifier: holder.srpIdentifier, host };
  if (requestsItself) return { ...added, credential: null };
  const delivered = await deliverSrpCredential(context, tx, holder.srpIdentifier, host === context.host);
  return { ...added, credential: delivered.credential };
}

/**
 * Whether processes on the host request their first credential themselves: on one that joined.
 * @throws BrambleError ERR_NOT_FOUND, ERR_CONFLICT for one that is being drained
 */
export async function assertUsable(context: AdministrationContext, tx: Transaction, name: string): Promise<boolean> {
  const joined = await holdHost(tx, name);
  if (joined === undefined) {
    if (name === context.host || (await listSupervisors(tx)).some(({ host }) => host === name)) return false;
    throw notFound('host', name);
  }
  if (joined.drainingSince === null) return true;
  throw new BrambleError(
    'ERR_CONFLICT',
    `The host ${name} is being drained, so nothing new is placed on it. Choose another host, or end that with ` +
      `\`bramble host drain ${name} --off\`.`,
  );
}
