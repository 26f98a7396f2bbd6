/**
 * Adds the planned instances of the new release, each with its SRP credential and its connection services, and removes
 * instances. One transaction per instance, so that it exists completely or not at all.
 */

import type { PlannedInstance } from '../../api/upgrade-plan.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { applyBudget, readBudget } from '../../deliveries/budget.ts';
import { forgetInstance } from '../../deliveries/instance-removal.ts';
import {
  createConnectionService,
  getConnectionService,
  removeServicesOf,
  servicesAloneOf,
} from '../../instances/connection-services.ts';
import { createInstance, findInstance } from '../../instances/instances.ts';
import { listSrpCredentials, revokeSrpCredential } from '../../instances/srp-credential-store.ts';
import { type DesiredProcess, listDesiredProcesses, setDesiredProcess } from '../../registry/desired-processes.ts';
import { forgetProcesses } from '../../registry/process-removal.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import type { StepContext } from './step-context.ts';

/**
 * Creates one planned instance with everything that belongs to it, and its processes.
 * @throws BrambleError ERR_UPGRADE_INSTANCE if a name is taken or the instance to be replaced is gone.
 */
export async function addNewInstance(
  tx: Transaction,
  planned: PlannedInstance,
  release: string,
  { host, effects }: Pick<StepContext, 'host' | 'effects'>,
): Promise<NewInstance> {
  const replaced = await findInstance(tx, planned.replaces);
  if (replaced === undefined) throw instanceError(`The instance ${planned.replaces} no longer exists.`);
  const created = await createInstance(tx, { name: planned.name });
  if (created.kind === 'name-taken') throw instanceError(`The name ${planned.name} is taken.`);
  const desired = await listDesiredProcesses(tx);
  const identifiers = [created.srpIdentifier];
  // On a host that joined, processes request theirs.
  const issue = planned.host === host ? effects.issueCredential : async () => undefined;
  await issue(tx, created.srpIdentifier, replaced.srpIdentifier);
  await setDesiredProcess(tx, {
    name: created.name,
    kind: 'server',
    host: planned.host,
    release,
    state: 'running',
    settings: copiedSettings(desired, replaced, created),
  });
  for (const wanted of planned.connectionServices) {
    const like = await getConnectionService(tx, wanted.replaces);
    const made = await createConnectionService(tx, {
      name: wanted.name,
      instances: [created.name],
      allowedHosts: like?.allowedHosts,
    });
    if (made.kind !== 'created')
      throw instanceError(`The connection service ${wanted.name} cannot be added: ${made.kind}.`);
    identifiers.push(made.service.srpIdentifier);
    await issue(tx, made.service.srpIdentifier, like?.srpIdentifier ?? replaced.srpIdentifier);
    await setDesiredProcess(tx, {
      name: made.service.name,
      kind: 'connection',
      host: planned.host,
      release,
      state: 'running',
      settings: like === undefined ? {} : copiedSettings(desired, like, made.service),
    });
  }
  await applyBudget(tx, await readBudget(tx), [created.id]);
  const services = planned.connectionServices.map((service) => service.name);
  return {
    name: created.name,
    instanceId: created.id,
    replaces: planned.replaces,
    replacesId: replaced.id,
    processes: [created.name, ...services],
    connectionServices: services,
    srpIdentifiers: identifiers,
    share: planned.share,
    origin: 'added',
  };
}

interface Named {
  name: string;
  srpIdentifier: string;
}

/** The settings of the replaced instance's process, with the new name and identifier. */
function copiedSettings(desired: readonly DesiredProcess[], like: Named, own: Named): Record<string, unknown> {
  const process = desired.find((candidate) => candidate.name === like.name);
  // Both run on one host at the same time: a fixed port remains that of the replaced one.
  const settings = { ...process?.settings, ...(process?.settings['port'] === undefined ? {} : { port: 0 }) };
  const replace = (value: unknown): unknown => {
    if (value === like.name) return own.name;
    if (value === like.srpIdentifier) return own.srpIdentifier;
    if (Array.isArray(value)) return value.map(replace);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, replace(inner)]));
  };
  return replace(settings) as Record<string, unknown>;
}

interface RemovableInstance {
  instanceId: string;
  /** Names of the processes of the instance and its connection services. */
  processes: readonly string[];
  connectionServices: readonly string[];
  srpIdentifiers: readonly string[];
}

/**
 * Removes what served a retired instance: its desired processes, their registrations (so that they block no feature),
 * its credentials, its connection services and its free slots. The instance's row stays, since history refers to it.
 */
export async function removeInstanceParts(tx: Transaction, instance: RemovableInstance): Promise<void> {
  await forgetProcesses(tx, instance.processes);
  for (const identifier of instance.srpIdentifiers) {
    for (const credential of await listSrpCredentials(tx, identifier)) {
      if (credential.revokedAt === null) await revokeSrpCredential(tx, credential.serial);
    }
  }
  await removeServicesOf(tx, instance.instanceId, instance.connectionServices);
  await forgetInstance(tx, instance.instanceId);
}

/** What would be removed with a registered instance: of its connection services those that serve no other. */
export async function describeInstance(q: Queryable, name: string): Promise<RemovableInstance | undefined> {
  const instance = await findInstance(q, name);
  if (instance === undefined) return undefined;
  const services = await servicesAloneOf(q, instance.id);
  return {
    instanceId: instance.id,
    processes: [instance.name, ...services.map((service) => service.name)],
    connectionServices: services.map((service) => service.name),
    srpIdentifiers: [instance.srpIdentifier, ...services.map((service) => service.srpIdentifier)],
  };
}

export async function instanceId(q: Queryable, name: string): Promise<string | undefined> {
  return (await findInstance(q, name))?.id;
}

function instanceError(what: string): BrambleError {
  return new BrambleError('ERR_UPGRADE_INSTANCE', what);
}
