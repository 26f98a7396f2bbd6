/** Invites a host: checks that one can join at all, and says what is in the way. */
import { createHash, randomUUID } from 'node:crypto';
import type * as z from 'zod';
import type { hostOperations } from '../../api/hosts.ts';
import { type DatabaseAddress, readDatabaseAddress, withoutCredential } from '../../base/database-address.ts';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { fieldError } from '../../base/field-error.ts';
import { isOwnHost } from '../../base/own-host.ts';
import type { Transaction } from '../../database/connection.ts';
import { newPassword, urlForRole } from '../../database/roles/role-credentials.ts';
import { loadDomainAuthority } from '../../domain/authorities.ts';
import { readDomain } from '../../domain/domain.ts';
import { recordEvent } from '../../domain/events.ts';
import { readRestored } from '../../domain/restored-domain.ts';
import { insertInvitation, openInvitationBeside } from '../../hosts/host-store.ts';
import { listHosts } from '../../hosts/hosts.ts';
import { invitationText } from '../../hosts/invitation.ts';
import { newSecret } from '../../hosts/join-messages.ts';
import { admitJoining, joiningRole, lockInvitations } from '../../hosts/joining-role.ts';
import { openSecrets, sealSecrets } from '../../hosts/sealed-invitation.ts';
import { readConfiguration } from '../../process/configuration.ts';
import { listDesiredProcesses } from '../../registry/desired-processes.ts';
import { listSupervisors } from '../../registry/supervisors.ts';
import { routerAddresses } from '../../routers/router-addresses.ts';
import type { AdministrationContext } from './context.ts';

/** Makes the invitation. @throws BrambleError ERR_CONFLICT, ERR_DATABASE_NOT_SHARED, ERR_DATABASE_ROLE, ERR_INPUT */
export async function inviteHost(
  context: AdministrationContext,
  tx: Transaction,
  { name, validHours, databaseUrl: given, administers }: z.output<typeof hostOperations.invite.body>,
  administrator: string,
): Promise<{ name: string; invitation: string; expiresAt: Date; databaseUrl: string }> {
  await assertNewHost(context, tx, name);
  const databaseUrl = await sharedDatabase(context, given);
  await assertReachableRouters(context, tx, databaseUrl);
  const [domain, authority] = await Promise.all([readDomain(tx), loadDomainAuthority(tx, context.masterKeys)]);
  const role = await admitByRole(context, tx, name);
  const id = randomUUID();
  const secret = newSecret();
  const expiresAt = await insertInvitation(tx, {
    ...{ id, host: name, databaseUrl, administers, validHours, invitedBy: administrator },
    secrets: sealSecrets(context.masterKeys, id, { secret, password: role.password }),
  });
  await recordEvent(tx, { kind: 'host-invited', subject: name, message: `${administrator} invited the host ${name}` });
  const invitation = invitationText({
    ...{ id, host: name, secret, expiresAt: expiresAt.toISOString() },
    domain: { id: domain.domainId, name: domain.name },
    databaseUrl: urlForRole(databaseUrl, role),
    authority: createHash('sha256').update(authority.certificateDer).digest('hex'),
  });
  return { name, invitation, expiresAt, databaseUrl };
}

/** The credential for this host's invitation: that of the other open ones, or a fresh one. */
async function admitByRole(
  { masterKeys }: AdministrationContext,
  tx: Transaction,
  host: string,
): Promise<{ user: string; password: string }> {
  const user = await joiningRole(tx);
  if (user === undefined) {
    throw new BrambleError(
      'ERR_DATABASE_ROLE',
      'The database has no role for joining hosts yet, and an invitation must not contain more rights than that one. As a superuser ' +
        'of the database, carry out what `bramble database roles --sql` prints; then run `bramble database roles --use`, shut ' +
        'the domain down and start it (`bramble down`, `bramble up`) where its processes had no roles of their own, and invite the host again.',
    );
  }
  await lockInvitations(tx);
  const other = await openInvitationBeside(tx, host);
  const password = other === undefined ? newPassword() : openSecrets(masterKeys, other).password;
  await admitJoining(tx, user, { password, isFirst: other === undefined });
  return { user, password };
}

async function assertNewHost(context: AdministrationContext, tx: Transaction, name: string): Promise<void> {
  const [hosts, processes, supervisors, restored] = await Promise.all([
    listHosts(tx),
    listDesiredProcesses(tx),
    listSupervisors(tx),
    readRestored(tx),
  ]);
  if (hosts.some((host) => host.name === name)) {
    throw new BrambleError(
      'ERR_CONFLICT',
      `The host ${name} has joined already. To have it join again, remove it first: \`bramble host remove ${name}\`.`,
    );
  }
  const others = [...processes, ...supervisors].map(({ host }) => host);
  const joinsAgain = restored?.joinedHosts.includes(name) === true;
  if (name === context.host || (others.includes(name) && !joinsAgain)) {
    throw new BrambleError(
      'ERR_CONFLICT',
      `The domain has a host named ${name} already. Choose another name; or, if it is one that was removed, stop its supervisor ` +
        `and repeat \`bramble host remove ${name}\`.`,
    );
  }
}

/** The database's URL without user and password, as other hosts reach it. */
async function sharedDatabase(context: AdministrationContext, given: string | undefined): Promise<string> {
  const { database } = await readConfiguration(context.home);
  if (!('url' in database)) {
    throw new BrambleError(
      'ERR_DATABASE_NOT_SHARED',
      'The configuration database is the embedded PostgreSQL, which only this host reaches. A second host needs an external ' +
        'one: `bramble database export` moves the domain there.',
    );
  }
  const url = given ?? database.url;
  const own = ownHostOf(url);
  const bare = withoutCredential(url);
  if (given !== undefined && bare !== null) {
    throw fieldError('body', 'databaseUrl', 'must not contain a user or password', 'The host gets roles of its own.');
  }
  if (given === undefined && own !== undefined) {
    throw new BrambleError(
      'ERR_DATABASE_NOT_SHARED',
      `This host reaches the configuration database at ${own}, which other hosts cannot. Give its address ` +
        'as they reach it: --database-url postgres://db.example:5432/bramble.',
    );
  }
  return bare ?? url;
}

/** On one computer, for a trial, everything may be on loopback. */
async function assertReachableRouters(
  context: AdministrationContext,
  tx: Transaction,
  databaseUrl: string,
): Promise<void> {
  const [router] = await routerAddresses(tx, context.home);
  if (router === undefined || !isOwnHost(router.host) || ownHostOf(databaseUrl) !== undefined) return;
  throw new BrambleError(
    'ERR_CONFLICT',
    `Instances reach the routers of this domain at ${router.host}, which is this host alone: the domain was created without a public ` +
      'host. Instances on other hosts could not dial. Create the domain with --public-host.',
  );
}

/** The host in the database's URL that is this computer to every computer, if it names one. */
function ownHostOf(url: string): string | undefined {
  const { hosts } = shownAddress(url);
  const names = hosts.map(({ name }) => name);
  if (names.length === 0 || names.some((name) => name === '' || name.startsWith('/'))) return 'a local socket';
  return names.find(isOwnHost);
}

function shownAddress(url: string): DatabaseAddress {
  const wanted = 'must be a PostgreSQL URL with a database, such as postgres://db.example:5432/bramble';
  if (!/^[^?]*:\/\/[^/?]*\/[^/?]/.test(url)) throw fieldError('body', 'databaseUrl', wanted);
  try {
    return readDatabaseAddress(url);
  } catch (error) {
    throw fieldError('body', 'databaseUrl', wanted, messageOf(error));
  }
}
