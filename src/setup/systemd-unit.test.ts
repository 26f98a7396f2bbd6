import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitCode } from '../cli/exit-codes.ts';
import { unitText } from './systemd-unit.ts';

const plan = { home: '/var/lib/bramble', node: '/usr/bin/node', user: 'bramble', writable: [], lowPort: false };

function settingsOf(text: string): Map<string, string> {
  const lines = text.split('\n').filter((line) => /^[A-Z]\w*=/.test(line));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

test('processes outlive their supervisor, and one that was taken over from stays ended', () => {
  const settings = settingsOf(unitText(plan));
  assert.equal(settings.get('KillMode'), 'process');
  assert.equal(settings.get('OOMPolicy'), 'continue');
  assert.equal(settings.get('Restart'), 'on-failure');
  assert.equal(settings.get('StartLimitIntervalSec'), '0');
  // Within the time that processes without a supervisor wait for one.
  assert.ok(Number(settings.get('RestartSec')) < 20);
  const hopeless = [
    exitCode.alreadyRunning,
    exitCode.refused,
    exitCode.incompatible,
    exitCode.replaced,
    exitCode.configuration,
  ];
  assert.deepEqual(settings.get('RestartPreventExitStatus')?.split(' ').map(Number), hopeless);
  // Node.js compiles while it runs.
  assert.equal(settings.has('MemoryDenyWriteExecute'), false);
});

test('a port below 1024 is the one right that it is given, and only then', () => {
  assert.equal(settingsOf(unitText(plan)).get('AmbientCapabilities'), '');
  assert.equal(settingsOf(unitText({ ...plan, lowPort: true })).get('AmbientCapabilities'), 'CAP_NET_BIND_SERVICE');
});

test('homes of people are hidden, unless Bramble itself lies there', () => {
  assert.equal(settingsOf(unitText(plan)).get('ProtectHome'), 'yes');
  assert.equal(settingsOf(unitText({ ...plan, home: '/home/ada/bramble' })).get('ProtectHome'), 'read-only');
  assert.equal(settingsOf(unitText({ ...plan, writable: ['/home/ada/backups'] })).get('ProtectHome'), 'read-only');
  assert.equal(settingsOf(unitText({ ...plan, home: '/homes/bramble' })).get('ProtectHome'), 'yes');
});
