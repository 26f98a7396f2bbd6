/** The supervisors of the domain's hosts, as they report themselves (`processes/supervisor/self-report.ts`). */
import { compareReleases } from '../base/release-number.ts';
import type { Queryable } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';

export interface HostSupervisor {
  host: string;
  /** Something is to run there. */
  wanted: boolean;
  /** null if none has ever reported: those of 1.1 do not. */
  release: string | null;
  processId: number | null;
  nodeVersion: string | null;
  postgresBinaries: string | null;
  postgresServer: string | null;
  startedAt: Date | null;
  /** Its last report. */
  seenAt: Date | null;
  /** It has reported recently. */
  atWork: boolean;
}

/** Several times the interval between a supervisor's reports. */
const supervisorSilenceSeconds = 45;

/**
 * For every host where processes are wanted, or whose supervisor has reported. Works before 1.2 has expanded the schema
 * too.
 */
export async function listSupervisors(q: Queryable): Promise<HostSupervisor[]> {
  if (!(await hasTable(q, 'supervisor'))) {
    return await q<HostSupervisor[]>`
      select distinct host, true as wanted, null as release, null as "processId", null as "nodeVersion",
             null as "postgresBinaries", null as "postgresServer", null as "startedAt", null as "seenAt", false as "atWork"
        from desired_process where state = 'running' order by host`;
  }
  return await q<HostSupervisor[]>`
    select host, w.host is not null as wanted, s.release, s.process_id as "processId", s.node_version as "nodeVersion",
           s.postgres_binaries as "postgresBinaries", s.postgres_server as "postgresServer", s.started_at as "startedAt", s.seen_at as "seenAt",
           coalesce(s.seen_at > clock_timestamp() - make_interval(secs => ${supervisorSilenceSeconds}), false) as "atWork"
      from (select distinct host from desired_process where state = 'running') w
      full join supervisor s using (host)
     order by host`;
}

/** Its supervisor has reported before, and not for a while. */
export async function isHostSilent(q: Queryable, host: string): Promise<boolean> {
  const supervisors = await listSupervisors(q);
  return supervisors.some((one) => one.host === host && one.seenAt !== null && !one.atWork);
}

/** Two reports of a supervisor. */
const quietSeconds = 20;

/** Of these hosts those whose supervisors have missed a report, and since when; `now` by the database's clock. */
export async function listQuietHosts(
  q: Queryable,
  hosts: readonly string[],
): Promise<{ host: string; seenAt: Date; now: Date }[]> {
  return await q<{ host: string; seenAt: Date; now: Date }[]>`
    select host, seen_at as "seenAt", clock_timestamp() as now from supervisor
     where host = any(${hosts as string[]}) and seen_at < clock_timestamp() - make_interval(secs => ${quietSeconds})`;
}

/** The supervisors of hosts with wanted processes that are not known to be of this release or a later one. Pure. */
export function supervisorsBehind(supervisors: readonly HostSupervisor[], release: string): HostSupervisor[] {
  return supervisors.filter(
    (one) => one.wanted && (one.release === null || !one.atWork || compareReleases(one.release, release) < 0),
  );
}

/** Its release, in words. Pure. */
export function supervisorText({ host, release, atWork }: Pick<HostSupervisor, 'host' | 'release' | 'atWork'>): string {
  if (release === null) return `${host} (1.1 or earlier)`;
  return `${host} (${release}${atWork ? '' : ', no recent report'})`;
}

/**
 * The command that brings a supervisor of the release to a host: in its own session, since closing a terminal drains
 * what runs in it. Pure.
 */
export function supervisorCommand(release: string): string {
  return `setsid node "$BRAMBLE_HOME/releases/${release}/bramble.mjs" up </dev/null >>"$BRAMBLE_HOME/logs/supervisor.log" 2>&1 &`;
}

/** What must hold before it is run; otherwise processes end with the previous supervisor. */
export const supervisorCaution =
  'Do not run it in a terminal that you will close: that ends everything on the host. If the running one is a ' +
  'systemd unit, first set KillMode=process in that unit (systemctl edit, systemctl daemon-reload): otherwise ' +
  'systemd ends every process together with it. Better still, start the new one as a separate unit';
