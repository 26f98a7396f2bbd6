/** Rows as a domain has them that has grown for years, written past everything that would have written them. */
import type postgres from 'postgres';

export const firstNames = ['Ada', 'Bea', 'Cleo', 'Dora', 'Emil', 'Lena', 'Max', 'Paul', 'Sara'];
export const families = [
  'Lovelace',
  'Hopper',
  'Turing',
  'Noether',
  'Curie',
  'Meitner',
  'Hamilton',
  'Lamarr',
  'Perlman',
  'Sinclair',
];
export const models = Array.from({ length: 20 }, (_, n) => `Handheld ${n}`);
export const versions = ['18.1', '18.2', '18.3', '26.0', '26.1'];

/** Three devices for two accounts; a group of every second account, of one in fifty, of one in a thousand. */
export async function addAccounts(sql: postgres.Sql, accounts: number): Promise<void> {
  await sql`
    with places as (
      select id, row_number() over (order by name) - 1 as n, count(*) over () as instances from instance
    ), added as (
      insert into account (id, name, display_name, instance_id, created_at)
      select gen_random_uuid(), 'person-' || n, (${firstNames}::text[])[1 + n % 9] || ' ' || (${families}::text[])[1 + (n / 9) % 10],
             (select p.id from places p where p.n = k.n % p.instances), now() - make_interval(secs => n)
        from generate_series(1, ${accounts}::int) k (n)
      returning id, name, instance_id
    ), epochs as (
      insert into account_epoch (account_id, epoch, instance_id) select id, 1, instance_id from added
    ), named as (
      select id, name || '/' || k as name, row_number() over () as n
        from added, generate_series(1, case when right(name, 1) in ('0', '2', '4', '6', '8') then 2 else 1 end) k
    )
    insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, identity_issued_at,
                        identity_expires_at, udid, serial_number, model, os_version, push_token, push_magic, last_seen_at,
                        created_at, removing_since)
    select gen_random_uuid(), id, encode(sha256(convert_to('t' || name, 'utf8')), 'hex'), 'apple', 'active', '',
           encode(sha256(convert_to('f' || name, 'utf8')), 'hex'), now(), now() + interval '1 year', gen_random_uuid(),
           'S' || (10000 + n % 90000) || n, (${models}::text[])[1 + n % 20], (${versions}::text[])[1 + n % 5],
           sha256(convert_to('p' || name, 'utf8')), name, now(), now() - make_interval(secs => n),
           case when n % 1000 = 0 then now() end from named`;
  await sql`
    with made as (
      insert into account_group (id, name, rank)
      values (gen_random_uuid(), 'large', 1), (gen_random_uuid(), 'middling', 2), (gen_random_uuid(), 'small', 3) returning id, name)
    insert into group_member (group_id, account_id)
    select m.id, a.id from made m, (select id, row_number() over (order by id) as n from account) a
     where a.n % (case m.name when 'large' then 2 when 'middling' then 50 else 1000 end) = 0`;
}

/** Of the last year, without the notices that they would have owed. */
export async function addEvents(sql: postgres.Sql, events: number): Promise<void> {
  await sql.begin(async (tx) => {
    await tx`set local session_replication_role = replica`;
    await tx`
      insert into event (at, kind, subject, message, detail)
      select now() - make_interval(secs => 31536000.0 * n / ${events}::float8), 'component-registered', 'server-' || n % 20,
             'server-' || n % 20 || ' has registered', jsonb_build_object('release', '1.4.0', 'host', 'host-' || n % 7)
        from generate_series(${events}::int, 1, -1) n`;
  });
}
