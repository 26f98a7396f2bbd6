/**
 * What an operation takes, and which of the predefined roles have it: one table, from which routes take their guard and
 * docs/roles.md is printed. Invariant: a right that a release does not know is no right.
 */

/** The predefined roles, in the order of the table's columns. */
export const predefinedRoleNames = [
  'security',
  'enterprise',
  'senior-helpdesk',
  'junior-helpdesk',
  'server-only',
  'user-only',
] as const;
export type PredefinedRole = (typeof predefinedRoleNames)[number];

/**
 * Right by right: who has it, whether it remains to who is limited to groups, and what it is for. What would give away
 * everything else is for `security` alone: who invites a host gives it the master keys, and who trusts a signer runs his
 * programs.
 */
const table = {
  //                       sec ent sen jun srv usr lim
  'status.read': ['        ●   ●   ●   ●   ●   ●   ●', 'see the domain at a glance'],
  'figures.read': ['       ●   ●   ●   ●   ●   ●   ·', 'see how the domain did over time'],
  'events.read': ['        ●   ●   ●   ●   ●   ●   ●', 'see what happened'],
  'accounts.read': ['      ●   ●   ●   ●   ·   ●   ●', 'see user accounts'],
  'accounts.write': ['     ●   ●   ●   ·   ·   ●   ●', 'create and import accounts'],
  'accounts.delete': ['    ●   ●   ·   ·   ·   ●   ●', 'delete accounts with their devices'],
  'accounts.activate': ['  ●   ●   ●   ●   ·   ●   ●', 'give activation passwords'],
  'groups.read': ['        ●   ●   ●   ●   ·   ●   ●', 'see groups and who is in them'],
  'groups.write': ['       ●   ●   ·   ·   ·   ●   ·', 'create and delete groups'],
  'groups.assign': ['      ●   ●   ●   ·   ·   ●   ●', 'put accounts into groups and take them out'],
  'policies.read': ['      ●   ●   ●   ●   ·   ●   ●', 'see IT policies'],
  'policies.write': ['     ●   ●   ·   ·   ·   ·   ·', 'create, change and delete IT policies'],
  'policies.assign': ['    ●   ●   ●   ·   ·   ●   ●', 'assign IT policies to accounts and groups'],
  'services.read': ['      ●   ●   ●   ●   ●   ●   ●', 'see the services that devices have'],
  'services.write': ['     ●   ●   ·   ·   ·   ·   ·', 'set and delete services'],
  'devices.read': ['       ●   ●   ●   ●   ·   ●   ●', 'see devices and their commands'],
  'devices.command': ['    ●   ●   ●   ●   ·   ●   ●', 'send commands to devices'],
  'devices.profiles': ['   ●   ●   ●   ·   ·   ●   ●', 'install and remove profiles by commands of their own'],
  'devices.repair': ['     ●   ●   ●   ●   ·   ●   ●', 'send items again, cancel and requeue commands'],
  'devices.remove': ['     ●   ●   ●   ·   ·   ●   ●', 'remove devices'],
  'devices.identities': [' ●   ●   ·   ·   ·   ·   ·', 'let devices authenticate without TLS again'],
  'moves.read': ['         ●   ●   ●   ·   ●   ●   ●', 'see account moves'],
  'moves.write': ['        ●   ●   ●   ·   ●   ●   ●', 'move accounts between instances'],
  'deliveries.read': ['    ●   ●   ●   ●   ●   ●   ●', 'see deliveries and their budget'],
  'deliveries.write': ['   ●   ●   ·   ·   ●   ·   ·', 'change the budget, free what silent devices hold'],
  'servers.read': ['       ●   ●   ·   ·   ●   ·   ·', 'see components, hosts, credentials and certificates'],
  'servers.write': ['      ●   ●   ·   ·   ●   ·   ·', 'add, change and remove components and hosts'],
  'hosts.invite': ['       ●   ·   ·   ·   ·   ·   ·', 'invite hosts, which get the master keys'],
  'credentials.write': ['  ●   ●   ·   ·   ●   ·   ·', 'issue, revoke and clear SRP credentials'],
  'push.write': ['         ●   ●   ·   ·   ●   ·   ·', 'set the push service and its certificate'],
  'keys.write': ['         ●   ·   ·   ·   ·   ·   ·', 'replace authorities, signers and master keys'],
  'releases.trust': ['     ●   ·   ·   ·   ·   ·   ·', 'say whose releases the domain runs'],
  'upgrade.read': ['       ●   ●   ·   ·   ●   ·   ·', 'see the upgrade and its report'],
  'upgrade.write': ['      ●   ●   ·   ·   ●   ·   ·', 'plan, start and steer an upgrade'],
  'notices.read': ['       ●   ●   ·   ·   ●   ·   ·', 'see who is told what'],
  'notices.write': ['      ●   ●   ·   ·   ●   ·   ·', 'change who is told what, and the mail server'],
  'audit.read': ['         ●   ●   ·   ·   ·   ·   ●', 'read the audit'],
  'record.read': [
    '        ●   ●   ·   ·   ·   ·   ·',
    'verify and export the whole audit, see how long things are kept',
  ],
  'audit.write': ['        ●   ·   ·   ·   ·   ·   ·', 'cut the audit, change how long things are kept'],
  'access.read': ['        ●   ●   ·   ·   ·   ·   ·', 'see administrators, roles and tokens'],
  'access.write': ['       ●   ·   ·   ·   ·   ·   ·', 'make and end administrators, roles and tokens'],
} as const satisfies Record<string, readonly [marks: string, purpose: string]>;

export type Right = keyof typeof table;

export const allRights = Object.keys(table) as readonly Right[];

/** Whoever does something by these gives away the domain, or access to it, or covers his tracks. */
const rightsToProve: readonly NeededRight[] = [
  'hosts.invite',
  'keys.write',
  'releases.trust',
  'audit.write',
  'access.write',
];

/** Whether a session has to have proved of late who is there. */
export function asksProof(operation: { readonly right: NeededRight; readonly proof?: boolean }): boolean {
  return operation.proof ?? rightsToProve.includes(operation.right);
}

/** What an operation takes: a right, any administrator, or nothing at all. */
export type NeededRight = Right | 'signed-in' | 'open';

export function purposeOf(right: Right): string {
  return table[right][1];
}

export function isPredefinedRole(name: string): name is PredefinedRole {
  return predefinedRoleNames.some((role) => role === name);
}

/** Of who is limited to groups. */
export function canBeLimited(right: Right): boolean {
  return hasMark(right, predefinedRoleNames.length);
}

function hasRight(role: PredefinedRole, right: Right): boolean {
  return hasMark(right, predefinedRoleNames.indexOf(role));
}

function hasMark(right: Right, column: number): boolean {
  return table[right][0].trim().split(/ +/)[column] === '●';
}

/** Which predefined roles have a right. */
export function rolesWith(right: Right): readonly PredefinedRole[] {
  return predefinedRoleNames.filter((role) => hasRight(role, right));
}

export function rightsOf(role: PredefinedRole): readonly Right[] {
  return allRights.filter((right) => hasRight(role, right));
}
