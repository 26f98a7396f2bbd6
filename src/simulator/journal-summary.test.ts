import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalEntry, JournalEvent } from './journal.ts';
import {
  currentProfiles,
  successTimes,
  summarizeCommands,
  summarizeRequests,
  summarizeTunnels,
} from './journal-summary.ts';

function journal(...events: JournalEvent[]): JournalEntry[] {
  return events.map((event, number) => ({ at: number, device: 'd', account: 'a', ...event }));
}

const request = { event: 'request', request: 'idle', startedAt: 0, latencyMs: 1 } as const;

test('requests are counted by class, and what the simulator broke off itself is no failure', () => {
  const summary = summarizeRequests(
    journal(
      { ...request, ok: true },
      { ...request, ok: true, sentAgain: true },
      { ...request, ok: false, failure: 'unavailable', httpStatus: 503 },
      { ...request, ok: false, failure: 'given-up' },
    ),
  );
  assert.deepEqual(summary, {
    sent: 4,
    ok: 2,
    failed: 1,
    sentAgain: 1,
    failedByClass: { unavailable: 1, 'given-up': 1 },
    lostDevices: [],
  });
});

test('a command that has an effect twice shows as a duplicate, one told again does not', () => {
  const about = { commandUuid: 'AB', requestType: 'DeviceLock' };
  const executed = { event: 'executed', ...about, status: 'Acknowledged' } as const;
  const again = summarizeCommands(journal({ event: 'told', ...about }, executed, { event: 'told-again', ...about }));
  assert.deepEqual([again.get('ab')?.executed, again.get('ab')?.told, again.get('ab')?.toldAgain], [1, 2, 1]);
  assert.equal(summarizeCommands(journal(executed, executed)).get('ab')?.executed, 2);
  assert.equal(summarizeCommands(journal({ event: 'told', ...about })).get('ab')?.answersAccepted, 0);
});

test('profiles are replaced under their identifier, removed, and gone with the device', () => {
  const profile = { identifier: 'p', uuid: '1', revision: 'r', payloads: [] };
  const first = { event: 'profile-installed', commandUuid: 'c', profile } as const;
  const second = { ...first, profile: { ...profile, uuid: '2' } };
  assert.equal(currentProfiles(journal(first, second)).get('d')?.get('p')?.uuid, '2');
  const removed = { event: 'profile-removed', commandUuid: 'c', profileIdentifier: 'p' } as const;
  assert.equal(currentProfiles(journal(first, removed)).get('d')?.size, 0);
  assert.equal(currentProfiles(journal(first, { event: 'checked-out' })).get('d')?.size, 0);
});

test('successes of probes are told from others', () => {
  const entries = journal(
    { ...request, ok: true, probe: true },
    { ...request, ok: true },
    { ...request, ok: false, probe: true },
  );
  assert.deepEqual(successTimes(entries).get('a'), [0]);
  assert.deepEqual(successTimes(entries, false).get('a'), [0, 1]);
});

test('tunnels are counted with the bytes that went through', () => {
  const about = { tunnel: 't', target: 'h:1' };
  const bytes = { sentBytes: 2, receivedBytes: 1 };
  const summary = summarizeTunnels(
    journal(
      { event: 'tunnel-opened', ...about, latencyMs: 1 },
      { event: 'tunnel-broken', ...about, ...bytes, reason: 'cut' },
      { event: 'tunnel-refused', ...about, httpStatus: 503 },
      { event: 'tunnel-closed', ...about, ...bytes },
    ),
  );
  const breaks = [{ atMs: 1, openMs: 1, account: 'a', reason: 'cut' }];
  assert.deepEqual(summary, { opened: 1, refused: 1, broken: 1, breaks, transferredBytes: 6 });
});
