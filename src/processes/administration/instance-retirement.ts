/**
 * Retiring a server instance that serves nobody: its row stays, since history points to it; its process, its SRP
 * credential and the connection services that only it uses are removed, in one transaction.
 *
 * Invariant: an instance that an account is at, on its way to, or may have to go back to is not retired, nor is the last one.
 */

import { rm } from 'node:fs/promises';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { notFound } from '../../base/not-found.ts';
import type { Transaction } from '../../database/connection.ts';
import { recordEvent } from '../../domain/events.ts';
import { lockStandingInstances } from '../../instances/instance-locks.ts';
import { findInstance, retireInstance } from '../../instances/instances.ts';
import { credentialPath } from '../../link/credential.ts';
import { countMovesTo } from '../../moves/move-reports.ts';
import { positionOf, readOpenUpgrade } from '../../upgrade/state/upgrade-store.ts';
import { describeInstance, removeInstanceParts } from '../../upgrade/steps/new-instances.ts';

interface RetiredInstance {
  name: string;
  srpIdentifier: string;
  /** Connection services removed with it. */
  connectionServices: string[];
  /** Whose credentials are revoked. */
  srpIdentifiers: string[];
}

/**
 * For a retired instance it does nothing.
 * @throws BrambleError ERR_NOT_FOUND, ERR_INSTANCE_IN_USE with the reason and what to do
 */
export async function retireWithParts(tx: Transaction, given: string, by: string): Promise<RetiredInstance> {
  const instance = await findInstance(tx, given);
  if (instance === undefined) throw notFound('instance', given);
  const { name, srpIdentifier } = instance;
  // Before the accounts: moving them away would undo the upgrade, not help.
  if (instance.retiredAt === null) await assertNotInUpgrade(tx, name);
  // Of two that are retired at once, the second sees the first one gone.
  await lockStandingInstances(tx);
  const outcome = await retireInstance(tx, name);
  if (outcome.kind === 'has-accounts') {
    const target = await anotherInstance(tx, name);
    throw inUse(
      name,
      `it serves ${counted(outcome.accountCount, 'account')}`,
      `Move them first: \`bramble move start --from ${name} --to ${target ?? 'INSTANCE'}\`.`,
    );
  }
  if (instance.retiredAt === null) {
    await assertNothingOnTheWay(tx, name, instance.id);
    if ((await anotherInstance(tx, name)) === undefined) {
      throw inUse(name, 'it is the last instance', 'Add another instance first: `bramble instance add NAME`.');
    }
  }
  const parts = await describeInstance(tx, name);
  if (parts === undefined) throw notFound('instance', given);
  await removeInstanceParts(tx, parts);
  if (instance.retiredAt === null) {
    await recordEvent(tx, { kind: 'instance-retired', subject: name, message: `${by} retired the instance ${name}` });
  }
  const { connectionServices, srpIdentifiers } = parts;
  return {
    name,
    srpIdentifier,
    connectionServices: [...connectionServices],
    srpIdentifiers: [...srpIdentifiers],
  };
}

/** Files of revoked credentials on this host: useless, so one that remains does no harm. */
export async function removeCredentialFiles(home: string, identifiers: readonly string[]): Promise<void> {
  for (const identifier of identifiers) await rm(credentialPath(home, identifier), { force: true });
}

async function assertNotInUpgrade(tx: Transaction, name: string): Promise<void> {
  const upgrade = await readOpenUpgrade(tx);
  if (upgrade === undefined) return;
  const { plan, progress } = upgrade;
  const planned = [...plan.instances, ...progress.newInstances];
  const isNew = planned.some((one) => one.name === name);
  if (!isNew && !planned.some((one) => one.replaces === name)) return;
  const position = positionOf(upgrade);
  const course = position.pausedFrom ?? position.state;
  if (course === 'finalizing' || course === 'reversing') {
    const why = {
      finalizing: isNew ? 'takes over the accounts permanently' : 'moves its accounts away and replaces it',
      reversing: isNew ? 'moves its accounts back and removes it' : 'moves the accounts back to it',
    }[course];
    const end = course === 'finalizing' ? 'done' : 'reversed';
    throw inUse(
      name,
      `the upgrade, which is ${course}, ${why}`,
      `Wait until it is ${end}: \`bramble upgrade status\`.`,
    );
  }
  const why = isNew
    ? 'the open upgrade has assigned accounts to it'
    : 'the open upgrade needs it in case it is reversed';
  throw inUse(name, why, 'Finalize or reverse the upgrade first.');
}

/**
 * Moves are queued under the instance's row lock, which the caller holds: a move not seen here is queued after the
 * retirement.
 */
async function assertNothingOnTheWay(tx: Transaction, name: string, id: string): Promise<void> {
  const open = await countMovesTo(tx, id);
  if (open === 0) return;
  throw inUse(
    name,
    `${counted(open, 'account is', 'accounts are')} on the way to it`,
    'Let the moves finish, or undo them: `bramble move status` shows them, `bramble move back BATCH` undoes them.',
  );
}

async function anotherInstance(tx: Transaction, name: string): Promise<string | undefined> {
  const [row] = await tx<{ name: string }[]>`
    select name from instance where name <> ${name} and retired_at is null order by name limit 1`;
  return row?.name;
}

function inUse(name: string, why: string, remedy: string): BrambleError {
  return new BrambleError('ERR_INSTANCE_IN_USE', `The instance ${name} cannot be retired: ${why}. ${remedy}`, {
    details: { instance: name },
  });
}
