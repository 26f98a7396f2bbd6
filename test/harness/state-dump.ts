/**
 * The state of a domain when a wait has timed out: the upgrade and what it waits for, its components, the
 * database's sessions and who blocks whom, processes, and the end of each log. By SQL and `ps`, since nothing of the
 * domain may answer any more.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type postgres from 'postgres';
import { driver, type Sql } from '../../src/database/session.ts';
import { readUpgradeReport } from '../../src/upgrade/report/report.ts';
import { waitLines } from '../../src/upgrade/report/wait-text.ts';
import { readLatestUpgrade } from '../../src/upgrade/state/upgrade-store.ts';

const run = promisify(execFile);
const withinMs = 10_000;

/** Never fails: a part that cannot be read is replaced by the reason. */
export async function dumpState(home: string, databaseUrl: string): Promise<string> {
  // As the product's own: it sends nothing that a pooler refuses, and asks for no types outside of a statement.
  const sql = driver(databaseUrl, 'state dump', { connect_timeout: withinMs / 1000 });
  try {
    // The only session serves in order; it need not answer here.
    void sql`select set_config('statement_timeout', ${String(withinMs)}, false)`.catch(() => undefined);
    const rows = (query: postgres.PendingQuery<postgres.Row[]>) => query.then((found) => found.map(lineOf));
    const parts: [string, Promise<string[]>][] = [
      ['upgrade', rows(upgradeOf(sql))],
      ['what it waits for', waitsOf(sql)],
      ['events of upgrades, the last ones', rows(eventsOf(sql)).then((lines) => lines.reverse())],
      ['wanted, and what there is', rows(componentsOf(sql))],
      ['database sessions', rows(sessionsOf(sql))],
      ['processes', processesOf(home)],
      ['logs', logsOf(home)],
    ];
    const texts = await Promise.all(
      parts.map(
        async ([title, lines]) => `-- ${title}\n${(await bounded(lines)).map((line) => `   ${line}`).join('\n')}`,
      ),
    );
    return `== how ${home} stands at ${new Date().toISOString()}\n${texts.join('\n')}\n`;
  } finally {
    await sql.end({ timeout: 0 });
  }
}

async function bounded(lines: Promise<string[]>): Promise<string[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string[]>((resolve) => {
    timer = setTimeout(() => resolve([`not known within ${withinMs} ms`]), withinMs);
  });
  const found = lines.catch((error: unknown) => [`not known: ${String(error)}`]);
  return await Promise.race([found, late]).finally(() => clearTimeout(timer));
}

function upgradeOf(sql: Sql) {
  return sql`
    select state, generation, paused_from, pause_reason, lease_holder, lease_until - clock_timestamp() as lease_left,
           clock_timestamp() - updated_at as unchanged_for, progress - 'newInstances' - 'administrations' as progress
      from upgrade order by created_at desc limit 1`;
}

/** As `bramble upgrade status` shows them; before the schema is expanded some cannot be read. */
async function waitsOf(q: Sql): Promise<string[]> {
  const upgrade = await readLatestUpgrade(q);
  return upgrade === undefined ? [] : waitLines((await readUpgradeReport(q, upgrade, [])).waits);
}

function eventsOf(sql: Sql) {
  return sql`select at, state, message from upgrade_event e order by e.id desc limit 12`;
}

function componentsOf(sql: Sql) {
  return sql`
    select coalesce(p.name, c.name) as name, p.state as wanted, p.release as wanted_release, c.release, c.process_id as pid,
           clock_timestamp() - c.started_at as age, c.stopped_at is not null as stopped,
           c.lease_until - clock_timestamp() as lease_left
      from desired_process p full join component c on c.name = p.name order by 1`;
}

function sessionsOf(sql: Sql) {
  return sql`
    select pid, application_name as application, state, wait_event_type as wait_type, wait_event as wait,
           pg_blocking_pids(pid) as blocked_by, clock_timestamp() - xact_start as in_transaction,
           clock_timestamp() - query_start as since, left(regexp_replace(query, '\\s+', ' ', 'g'), 160) as query
      from pg_stat_activity where datname is not null and pid <> pg_backend_pid() order by query_start`;
}

/** Those that name the home, or PostgreSQL's own of it. */
async function processesOf(home: string): Promise<string[]> {
  const { stdout } = await run('ps', ['-eo', 'pid,ppid,stat,etime,time,args'], { maxBuffer: 16 * 1024 * 1024 });
  const [head = '', ...all] = stdout.split('\n');
  const roots = all.filter((line) => line.includes(home)).map((line) => line.trim().split(/\s+/)[0]);
  const ours = all.filter(
    (line) => roots.includes(line.trim().split(/\s+/)[0]) || roots.includes(line.trim().split(/\s+/)[1]),
  );
  return [head, ...ours].map((line) => line.slice(0, 160));
}

async function logsOf(home: string): Promise<string[]> {
  const folder = join(home, 'logs');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.log')).sort();
  const ends = names.map(async (name) => {
    const lines = (await readFile(join(folder, name), 'utf8')).trimEnd().split('\n').slice(-4);
    return [`${name}:`, ...lines.map((line) => `  ${line.slice(0, 400)}`)];
  });
  return (await Promise.all(ends)).flat();
}

function lineOf(row: postgres.Row): string {
  return Object.entries(row)
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}
