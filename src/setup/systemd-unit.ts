/**
 * The systemd unit of a host's supervisor, as text: a template with the release as its instance, so that the supervisor of
 * the next release is started beside the one of this release and takes over from it (docs/adr/0032).
 *
 * Invariant: nothing but the supervisor ends a process. systemd signals it alone, leaves its processes when it is gone, and
 * starts it again within the 20 s in which they wait for one.
 *
 * @see systemd.service(5), systemd.kill(5), systemd.exec(5)
 */

export interface UnitPlan {
  readonly home: string;
  /** Node.js, by its whole path. */
  readonly node: string;
  readonly user: string;
  /** Folders beside the home, such as that of backups. */
  readonly writable: readonly string[];
  /** Whether a port below 1024 is to be bound. */
  readonly lowPort: boolean;
}

export const unitName = 'bramble@.service';

/** The unit that runs the supervisor of this release. */
export function unitOf(release: string): string {
  return unitName.replace('@', `@${release}`);
}

export function unitText({ home, node, user, writable, lowPort }: UnitPlan): string {
  const capabilities = lowPort ? 'CAP_NET_BIND_SERVICE' : '';
  // Code and home may lie where people have theirs; what others have there is not shown.
  const inHomes = [home, node, ...writable].some((path) => /^\/(?:home|root|run\/user)(?:\/|$)/.test(path));
  return `[Unit]
Description=Bramble %i, the supervisor of this host
After=network-online.target postgresql.service
Wants=network-online.target
# Devices are offline for as long as nobody supervises: it is tried without end.
StartLimitIntervalSec=0

[Service]
Type=exec
User=${user}
Group=${user}
UMask=0077
Environment="BRAMBLE_HOME=${escaped(home)}"
WorkingDirectory=${escaped(home)}
ExecStart="${escaped(node)}" "${word(home)}/releases/%i/bramble.mjs" up
# Only the supervisor is told to stop; it drains the others. They outlive it, and the next one adopts them.
KillMode=process
TimeoutStopSec=180
# Its processes wait for the next supervisor for 20 s. One that was taken over from ends with 0, and stays ended.
Restart=on-failure
RestartSec=1
# Another supervisor runs here; or a restart does not help.
RestartPreventExitStatus=3 5 8 9 10
# A process that is killed for its memory is started again by the supervisor.
OOMPolicy=continue
LimitNOFILE=131072

# What it does not need. Node.js compiles while it runs: MemoryDenyWriteExecute would end it.
AmbientCapabilities=${capabilities}
CapabilityBoundingSet=${capabilities}
NoNewPrivileges=yes
# A folder that is not there (yet) keeps nothing from starting: it is marked by a minus.
ProtectSystem=strict
ProtectHome=${inHomes ? 'read-only' : 'yes'}
ReadWritePaths=${[home, ...writable.map((path) => `-${path}`)].map((path) => `"${escaped(path)}"`).join(' ')}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}

/** The user, for systemd-sysusers. */
export function sysusersText(user: string, home: string): string {
  return `u ${user} - "Bramble" ${home}\n`;
}

/** Percent signs are systemd's own. */
function escaped(path: string): string {
  return path.replaceAll('%', '%%');
}

/** In an argument of a command a variable could be meant too. */
function word(path: string): string {
  return escaped(path).replaceAll('$', () => '$$');
}
