/**
 * What each kind of process may do in the database: one table, from which the grants, the check, the documentation and the
 * tests come.
 *
 * Invariant: nobody changes what was recorded (`event`, `upgrade_event`, `audit_record` and its seals), only the
 * administration removes of it, what triggers let go because it is old or cut off by a signed cut, and nobody but the administration and the coordinator reads administrators' tokens or the domain authority's key, or
 * decides which processes run. A table without a line fails a test.
 */

/**
 * Each has a database role of its own, `<database>_<kind>`. The router has none: it has no database access. `join` is that of
 * invited hosts, which no process has.
 */
export const databaseRoles = ['server', 'administration', 'connection', 'coordinator', 'supervisor', 'join'] as const;
export type DatabaseRole = (typeof databaseRoles)[number];

/** Every process that has a role logs in by a credential in its home. That of invited hosts is in their invitations only (`hosts/joining-role.ts`). */
export const processRoles: readonly DatabaseRole[] = databaseRoles.filter((role) => role !== 'join');

/** Every open invitation contains the password of this role, so who holds one takes no more of the server's sessions; one is enough to join. */
export const maxSessions: Readonly<Partial<Record<DatabaseRole, number>>> = { join: 8 };

/** Owns every table and cannot log in: the coordinator assumes it while it migrates. */
export const ownerRole = 'owner';

/** What a role may become, and has the rights of only while it is. The administration opens and closes the role of invited hosts. */
export const assumedRoles: Readonly<Partial<Record<DatabaseRole, DatabaseRole | typeof ownerRole>>> = {
  coordinator: ownerRole,
  administration: 'join',
};

/** Take the advisory locks in which the components of a domain meet. By default everybody may who can log in. */
export const lockingRoles: readonly (DatabaseRole | typeof ownerRole)[] = [
  'server',
  'administration',
  'connection',
  'coordinator',
  ownerRole,
];

/** PostgreSQL's own name of the role. @param database whose role it is: roles belong to the whole server, not to one database */
export function roleName(database: string, role: DatabaseRole | typeof ownerRole): string {
  return `${database}_${role}`;
}

type Privilege = 'select' | 'insert' | 'update' | 'delete' | 'usage';

/** One privilege on a table or sequence, or on one column if named. */
interface Right {
  role: DatabaseRole;
  object: string;
  column: string | null;
  privilege: Privilege;
}

type Line = Partial<Record<DatabaseRole, string>>;

const all = 'select insert update delete';
/** FOR SHARE requires the right to update some column: this one is never read. */
const lockAccount = 'select update(created_at)';
const registers = 'select insert update';

/**
 * Privileges by table and role; `update(a,b)` is limited to columns. `update` is also what locking a row asks for. The
 * instances' writes about an account are under the account fence, an administrator's under the release lock.
 */
export const tableRights: Readonly<Record<string, Line>> = {
  domain: {
    server: 'select',
    connection: 'select',
    administration: 'select update(push_topic)',
    coordinator: 'select update(release,schema_version,feature_level)',
  },
  component_range: {
    server: 'select',
    connection: 'select',
    administration: 'select',
    coordinator: 'select insert update',
  },
  component: {
    server: registers,
    connection: registers,
    administration: all,
    coordinator: all,
  },
  setting: { server: 'select', administration: 'select insert update', coordinator: 'select insert update' },
  authority: {
    server: 'select',
    administration: 'select insert update(certificate,private_key,key_id) delete',
    coordinator: 'select insert',
  },
  domain_key: { administration: 'select update(private_key,key_id)', coordinator: 'select' },
  domain_key_other: { administration: all },
  authority_statement: {
    supervisor: 'select',
    server: 'select',
    connection: 'select',
    administration: 'select insert',
    coordinator: 'select',
  },
  desired_process: { administration: all, coordinator: all, supervisor: 'select' },
  supervisor: { administration: 'select delete', coordinator: 'select', supervisor: 'select insert update' },
  administrator: { administration: all, coordinator: 'select update(password,totp_counter)' },
  administrator_group: { administration: 'select insert delete', coordinator: 'select' },
  administrator_session: { administration: all, coordinator: 'select insert update' },
  administrator_browser: { administration: all, coordinator: 'select insert update' },
  administrator_identity: { administration: 'select insert', coordinator: 'select' },
  administrator_passkey: { administration: all, coordinator: 'select update' },
  openid_provider: { administration: all },
  sign_in_code: { administration: all, coordinator: 'select update' },
  sign_in_challenge: { administration: all, coordinator: all },
  sign_in_try: { administration: all, coordinator: all },
  administrator_token: { administration: 'select insert update', coordinator: 'select' },
  idempotency_key: { administration: all },
  api_token: { administration: 'select insert update', coordinator: 'select' },
  api_token_group: { administration: 'select insert', coordinator: 'select' },
  custom_role: { administration: all, coordinator: 'select' },
  event: { server: 'insert', connection: 'insert', administration: 'select insert delete', coordinator: 'insert' },
  event_stream: { administration: 'select' },
  notice_target: { administration: all, coordinator: 'select update' },
  backup_schedule: { administration: 'select', coordinator: all },
  // Filled by a trigger on events, as the owner.
  notice: { administration: all, coordinator: 'select update delete' },
  notice_condition: { administration: all, coordinator: all },
  notice_mail_server: { administration: all, coordinator: 'select' },
  // Other processes' changes are written by triggers, as the owner.
  audit_record: { administration: 'select insert delete', coordinator: 'select insert' },
  audit_seal: { administration: 'select insert delete', coordinator: 'select insert' },
  audit_cut: { administration: 'select insert', coordinator: 'select' },
  instance: {
    server: 'select',
    administration: 'select insert update',
    coordinator: 'select insert update',
  },
  connection_service: {
    server: 'select',
    connection: 'select',
    administration: all,
    coordinator: all,
  },
  connection_service_instance: {
    server: 'select',
    connection: 'select',
    administration: 'select insert delete',
    coordinator: 'select insert delete',
  },
  router: { server: 'select', connection: 'select', administration: all, coordinator: 'select', supervisor: 'select' },
  router_request: { administration: 'select update delete', supervisor: 'select insert update' },
  host: { administration: all, coordinator: 'select', supervisor: 'select(name,public_key)' },
  host_master_key: { server: 'select', administration: 'select insert delete', coordinator: 'select' },
  host_invitation: {
    administration: all,
    join: 'select(id,request,answered_at,answer,expires_at) update(request,proof,requested_at)',
  },
  host_release: { administration: 'select delete', coordinator: 'select', supervisor: all },
  release_package: {
    administration: 'select insert delete',
    coordinator: 'select insert delete',
    supervisor: 'select',
  },
  release_file: { administration: 'insert', coordinator: 'insert', supervisor: 'select' },
  srp_credential: { administration: 'select insert update', coordinator: 'select insert update' },
  srp_clearance: { administration: 'select insert update', coordinator: 'select update' },
  revocation_list: { server: 'select', administration: 'select insert update' },
  srp_renewal: { server: 'select insert update', connection: 'select insert update', administration: 'select update' },
  account: {
    server: lockAccount,
    connection: 'select',
    administration: all,
    coordinator: 'select update',
  },
  account_mark: { server: 'select', administration: all, coordinator: all },
  account_epoch: { administration: 'insert', coordinator: 'insert' },
  account_group: { server: 'select', administration: 'select insert update(name) delete', coordinator: 'select' },
  group_member: { server: 'select', administration: 'select insert delete', coordinator: 'select' },
  activation_password: { server: 'select update delete', administration: 'select insert update' },
  device: {
    server: 'select insert update',
    connection: 'select(id,account_id,state,suspended_at,identity_fingerprint)',
    administration:
      'select update(state,removing_since,removal_command_id,tls_days,tls_day,tls_required_at,' +
      'unlock_token,unlock_token_key,bootstrap_token,bootstrap_token_key)',
    coordinator: 'select update(state)',
  },
  device_heard: { server: 'select', connection: 'select insert update' },
  device_renewal: {
    server: 'select insert update',
    connection: 'select(device_id,identity_fingerprint,former_fingerprint,renewed_at)',
    administration: 'select',
  },
  device_repeat: { server: 'select insert update', administration: 'select' },
  device_user: { server: all, administration: 'select delete' },
  command: { server: all, administration: 'select insert update', coordinator: 'select update(state,answered_at)' },
  request_sample: { server: all, administration: 'select', coordinator: 'select' },
  request_outcome: { server: all, administration: 'select', coordinator: 'select' },
  figure_minute: { administration: all },
  outcome_report: { server: all },
  // Also written by a trigger, as the owner.
  component_interruption: {
    server: 'select insert delete',
    connection: 'insert',
    administration: 'insert',
    coordinator: 'select insert',
  },
  it_policy: { server: 'select', administration: all },
  account_policy: { server: 'select', administration: all },
  group_policy: { server: 'select', administration: all },
  service: { server: 'select', administration: all },
  delivery: {
    server: 'select insert update',
    administration: 'select insert update',
    coordinator: 'select insert update',
  },
  delivery_permit: { server: all, administration: all, coordinator: all },
  send_rate: { server: 'select insert update', administration: all, coordinator: all },
  delivery_hold: { server: 'select insert update', administration: 'select delete', coordinator: 'select delete' },
  move_batch: { administration: 'select insert update', coordinator: 'select insert update' },
  account_move: { administration: 'select insert update', coordinator: 'select insert update' },
  upgrade: { administration: 'select insert update', coordinator: 'select update' },
  upgrade_event: { administration: 'select insert', coordinator: 'select insert' },
  upgrade_wave: { administration: 'select insert update', coordinator: 'select insert update' },
  upgrade_assignment: { administration: 'select insert update', coordinator: 'select insert update' },
  migration: { coordinator: 'select' },
};

/** Sequences that statements name themselves. Those of identity columns need no right. */
export const sequenceRights: Readonly<Record<string, Line>> = {
  // Drawn by triggers, as the owner; raised when a backup is restored.
  revision: {},
  srp_number: { administration: 'usage', coordinator: 'usage' },
  srp_list_number: { administration: 'usage', coordinator: 'usage' },
};

/** Roles of PostgreSQL's own that a role is a member of. The release fence sees who holds a lock, and ends its session. */
export const memberships: Readonly<Partial<Record<DatabaseRole, readonly string[]>>> = {
  coordinator: ['pg_read_all_stats', 'pg_signal_backend'],
};

/** May create databases: the upgrade's rehearsal runs in a separate one. */
export const createsDatabases: readonly DatabaseRole[] = ['coordinator'];

/** The table, right by right. */
export function wantedRights(): Right[] {
  return [...Object.entries(tableRights), ...Object.entries(sequenceRights)].flatMap(([object, line]) =>
    Object.entries(line).flatMap(([role, text]) =>
      text.split(' ').flatMap((word) => rightsOf(role as DatabaseRole, object, word)),
    ),
  );
}

function rightsOf(role: DatabaseRole, object: string, word: string): Right[] {
  const match = /^(select|insert|update|delete|usage)(?:\(([a-z_,]+)\))?$/.exec(word);
  if (!match) throw new TypeError(`"${word}" on ${object} is not a privilege`);
  const privilege = match[1] as Privilege;
  const columns = match[2]?.split(',') ?? [null];
  return columns.map((column) => ({ role, object, column, privilege }));
}
