import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { shapeDigest } from './release-build.ts';
import { storedShapes } from './stored-shapes.ts';

const archive = path.join(import.meta.dirname, '..', 'releases', 'bramble-1.3.0.tgz');

const ofHosts = 'new: 1.3.0 knows no hosts that join';

const ofRollover = 'new; sent once the feature `domain-authority-rollover` is active';

/** Shapes that differ from 1.3.0's on purpose, with why 1.3.0 can read what is written. */
const intended: Readonly<Record<string, string>> = {
  'upgrade.progress':
    'startedAt, and of a check overriddenBy and overriddenAt, are further fields, as is origin of a new instance, which 1.3.0 keeps',
  'component.detail':
    'clockAheadMs, masterKeys, routeSignerSerial and authorities are further fields, and 1.3.0 keeps and shows what it does not know',
  'upgrade.plan':
    'further options with defaults, by which only the new coordinator acts; 1.3.0 keeps keys that it does not know',
  'desired_process.settings router': 'a router of 1.3 ignores `balancers`, which only a supervisor of 1.4 gives it',
  'file audit/cut': 'written once the feature `retention` is active; 1.3 would pass over the line',
  'setting master-key': 'new; written once the feature `master-key-rotation` is active',
  'setting routers':
    'the table `router` in its place, which has the same while 1.3 reads the setting: until the upgrade is finalized',
  'file router/request.json': ofHosts,
  'router request': ofHosts,
  'setting retention': 'new; instances of 1.3 keep samples for 14 days, whatever is chosen',
  'srp_renewal.routers': ofHosts,
  'file join.json': ofHosts,
  'file keys/host.json': ofHosts,
  'file release-signer.json': ofHosts,
  'host invitation': ofHosts,
  'host invitationSecrets': ofHosts,
  'host joinAnswer': ofHosts,
  'host joinRequest': ofHosts,
  'host sealedKey': ofHosts,
  'file router/state.json':
    '`statements` is a further field, which 1.3.0 drops; written once `domain-authority-rollover` is active',
  'link routerRegistration': '`authorities` is a further field, which instances of 1.3.0 drop',
  'link trustStatement': ofRollover,
  'link trustStatements': ofRollover,
  'link first credential request':
    'an administration service of 1.3 refuses it; a host joins only while there is one of 1.4',
  'file config.json': 'a supervisor of 1.3 ignores `balancers`',
  'file backup head': 'new: 1.3.0 has no backups',
  'file backup home': 'new: 1.3.0 has no backups',
  'file backup manifest': 'new: 1.3.0 has no backups',
  'file upgrade-rehearsals.json': 'new: 1.3.0 neither writes nor reads it',
  'file backup-schedule.json': 'new: 1.3.0 makes no backups',
  'file backup-schedule-state.json': 'new: 1.3.0 makes no backups',
  'file backup-verified.json': 'new: 1.3.0 looks for the file, and only that it is there',
  'notice_target.sealed': 'new: 1.3.0 does not know the table',
  'setting restored': 'new: 1.3.0 reads settings by their key',
};

test('1.3.0 reads what this release stores and sends: every shape is the same, but for those that are named', () => {
  const manifest = execFileSync('tar', ['-xOzf', archive, 'manifest.json'], { encoding: 'utf8', timeout: 30_000 });
  const { shapes: sealed } = JSON.parse(manifest) as { shapes: Record<string, string> };
  assert.ok(Object.keys(sealed).length > 40);
  const names = new Set([...Object.keys(sealed), ...Object.keys(storedShapes)]);
  const different = [...names].filter((name) => {
    const shape = storedShapes[name];
    return shape === undefined || shapeDigest(shape) !== sealed[name];
  });
  assert.deepEqual(different.sort(), Object.keys(intended).sort());
});
