/**
 * `bramble service install` under a real systemd: this computer's own, started once more in namespaces of its own over a
 * copy of the file system that is thrown away. Under the unit's restrictions a domain with the embedded PostgreSQL works, its
 * supervisor is killed, and the next release's unit takes over; no process notices.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { unitOf } from '../../src/setup/systemd-unit.ts';
import { checkout, sealedArchive, workingTreeArchive } from '../harness/archives.ts';

const run = promisify(execFile);
const home = '/var/lib/bramble';

/** What runs inside. Each line that it leaves is one fact. */
const script = (from: string, to: string) => `#!/bin/bash
exec > /facts 2> /errors
export BRAMBLE_HOME=${home} HOME=/root
bramble() { /run/bramble-test/node ${checkout}src/cli/main.ts "$@"; }
fact() { echo "$1=$2"; }
process() { pgrep -o -f "bramble.mjs run $1"; }
database() { pgrep -o -f "postgres -D ${home}"; }
until_true() { for _ in $(seq 300); do "$@" > /dev/null 2>&1 && return; sleep 0.2; done; fact in-vain "$*"; }
linked() { bramble status --json | grep -q '"router": "router-1"'; }
supervised_by() { [ "$(systemctl show -p MainPID --value "$1")" != "$2" ] && systemctl is-active "$1" && adopted "$1"; }
adopted() { journalctl --no-pager -u "$1" | grep -q '"adopted".*router-1'; }

bramble domain create --archive /run/bramble-test/from.tgz --public-port 443
bramble service install --node /run/bramble-test/node
chown -R bramble: ${home}
systemctl enable --now ${unitOf(from)}
until_true linked
fact user "$(ps -o user= -p "$(process router)")"
fact port "$(ss -Hltn 'sport = :443' | wc -l)"
fact confined "$(grep -E '^(NoNewPrivs|Seccomp):' /proc/"$(process server)"/status | tr -d '\\t\\n')"
fact outside "$(nsenter -t "$(process server)" -m -S "$(id -u bramble)" -G "$(id -g bramble)" touch /var/lib/elsewhere 2>&1)"
before="$(process router) $(process server) $(database)"

killed=$(systemctl show -p MainPID --value ${unitOf(from)})
kill -9 "$killed"
until_true supervised_by ${unitOf(from)} "$killed"
fact after-kill "$([ "$before" = "$(process router) $(process server) $(database)" ] && echo same)"

bramble release install /run/bramble-test/to.tgz
chown -R bramble: ${home}/releases
systemctl enable --now ${unitOf(to)}
until_true adopted ${unitOf(to)}
systemctl disable ${unitOf(from)}
fact after-take-over "$([ "$before" = "$(process router) $(process server) $(database)" ] && echo same)"
fact former "$(systemctl show -p ActiveState -p Result --value ${unitOf(from)} | xargs)"
until_true linked

fact refused "$(bramble service uninstall 2>&1)"
systemctl disable --now ${unitOf(to)}
fact left "$(pgrep -f 'bramble.mjs|postgres -D ${home}' | wc -l)"
fact uninstalled "$(bramble service uninstall)"
fact files "$(ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants | grep -c bramble@)"
systemctl poweroff
`;

const unit = `[Unit]
Requires=basic.target
After=basic.target
[Service]
Type=exec
ExecStart=/run/bramble-test/check.sh
`;

interface Machine {
  /** Its file system from outside. */
  root: string;
  close(): Promise<void>;
}

/** A file system that shows this computer's and keeps changes to itself; undefined where none can be made. */
async function machine(): Promise<Machine | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-machine-'));
  const [root, upper, work] = ['root', 'upper', 'work'].map((name) => join(folder, name)) as [string, string, string];
  for (const part of [root, upper, work]) await mkdir(part);
  const options = `lowerdir=/,upperdir=${upper},workdir=${work}`;
  const mounted = spawnSync('mount', ['-t', 'overlay', 'overlay', '-o', options, root]).status === 0;
  const close = async () => {
    if (mounted) await run('umount', [root]);
    await rm(folder, { recursive: true, force: true });
  };
  if (mounted) return { root, close };
  await close();
  return undefined;
}

async function whyNot(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'only root can start another systemd';
  if (spawnSync('systemd-nspawn', ['--version']).error) return 'not on this machine: systemd-nspawn';
  const tried = await machine();
  await tried?.close();
  return tried === undefined && 'no file system can be laid over this one';
}

async function boot(t: TestContext, { root }: Machine, files: Readonly<Record<string, string>>) {
  const shown = await mkdtemp(join(tmpdir(), 'bramble-shown-'));
  t.after(() => rm(shown, { recursive: true, force: true }));
  await chmod(shown, 0o755);
  for (const [name, file] of Object.entries(files)) await run('cp', [file, join(shown, name)]);
  const { release: from } = await sealedArchive();
  const { release: to } = await workingTreeArchive();
  await writeFile(join(shown, 'check.sh'), script(from, to), { mode: 0o755 });
  const units = join(root, 'etc', 'systemd', 'system');
  await writeFile(join(units, 'check.service'), unit);
  // Of this computer's own services none is started.
  await mkdir(join(units, 'check.target.wants'), { recursive: true });
  await writeFile(join(units, 'check.target'), '[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n');
  await symlink('../check.service', join(units, 'check.target.wants', 'check.service'));
  const binds = [...new Set([checkout, `${shown}:/run/bramble-test`])].map((path) => `--bind-ro=${path}`);
  const how = ['--quiet', '--register=no', '--keep-unit', '--private-network', '--console=pipe', ...binds];
  const { stdout } = await run('systemd-nspawn', [...how, '-D', root, '-b', 'systemd.unit=check.target'], {
    env: { ...process.env, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1' },
    maxBuffer: 64 * 1024 * 1024,
    timeout: 280_000,
    killSignal: 'SIGKILL',
  }).catch((error: { stdout: string; stderr: string }) => ({ stdout: `${error.stdout}${error.stderr}` }));
  const [facts, errors] = await Promise.all(
    ['facts', 'errors'].map((name) => readFile(join(root, name), 'utf8').catch(() => null)),
  );
  t.diagnostic(`${facts}${errors}`);
  return facts ?? { notStarted: stdout.slice(-500) };
}

test('a supervisor that is a systemd service can be killed and replaced, confined as it is', {
  skip: await whyNot(),
  timeout: 300_000,
}, async (t) => {
  const [from, to, made] = await Promise.all([sealedArchive(), workingTreeArchive(), machine()]);
  assert.ok(made);
  t.after(() => made.close());
  const text = await boot(t, made, { 'from.tgz': from.file, 'to.tgz': to.file, node: process.execPath });
  // Nothing of ours ran yet: systemd itself found too little here, such as control groups.
  if (typeof text !== 'string') {
    t.skip(`systemd cannot be started here: ${text.notStarted}`);
    return;
  }
  const facts = new Map(
    text.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  assert.equal(facts.get('in-vain'), undefined);
  assert.equal(facts.get('user'), 'bramble');
  assert.equal(facts.get('port'), '1', 'a port below 1024');
  assert.equal(facts.get('confined'), 'NoNewPrivs:1Seccomp:2');
  assert.match(facts.get('outside') ?? '', /Read-only file system/);
  assert.equal(facts.get('after-kill'), 'same');
  assert.equal(facts.get('after-take-over'), 'same');
  assert.equal(facts.get('former'), 'success inactive');
  assert.match(facts.get('refused') ?? '', /is running: stop it first/);
  assert.equal(facts.get('left'), '0');
  assert.match(facts.get('uninstalled') ?? '', /Removed: .*bramble@\.service/);
  assert.equal(facts.get('files'), '0');
});
