import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HandshakeTurns } from './handshake-turns.ts';

test('an address that asks a thousand times keeps another one waiting for one turn', () => {
  const turns = new HandshakeTurns(100, 0);
  const begun: string[] = [];
  for (let count = 0; count < 1000; count += 1) turns.enter('flood', () => begun.push('flood'));
  turns.beginDue(0);
  assert.equal(begun.length, 25, 'what comes together begins together');
  turns.enter('anna', () => begun.push('anna'));
  turns.beginDue(20);
  assert.deepEqual(begun.slice(25), ['flood', 'anna']);
});

test('a connection that ends while it waits has no turn, and leaves nothing behind', () => {
  const turns = new HandshakeTurns(4, 0);
  const begun: string[] = [];
  turns.enter('a', () => begun.push('first'));
  const leave = turns.enter('a', () => begun.push('gone'));
  turns.enter('b', () => begun.push('second'));
  leave();
  turns.beginDue(1000);
  turns.beginDue(2000);
  assert.deepEqual([begun, turns.addresses], [['first', 'second'], 0]);
  leave();
});

test('whoever asks however often, no more begin than are to, all do in the end, and each after at most one of each other', () => {
  const step = fc.record({ address: fc.integer({ min: 0, max: 5 }), laterMs: fc.integer({ min: 0, max: 40 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 200 }), (steps, perSecond) => {
      const turns = new HandshakeTurns(perSecond, 0);
      const begun: number[] = [];
      let nowMs = 0;
      for (const { address, laterMs } of steps) {
        nowMs += laterMs;
        turns.enter(`${address}`, () => begun.push(address));
        turns.beginDue(nowMs);
        const most = Math.max(1, perSecond / 4) + (nowMs / 1000) * perSecond;
        assert.ok(begun.length <= most + 1e-6, `${begun.length} of ${most}`);
      }
      const before = begun.length;
      for (; begun.length < steps.length; nowMs += 1000) turns.beginDue(nowMs);
      // Round by round, and with every round at most as many addresses as before.
      const late = begun.slice(before);
      for (let at = 0; at < late.length; ) {
        const round = new Set<number>();
        while (at < late.length && !round.has(late[at] ?? -1)) round.add(late[at++] ?? -1);
        assert.ok(
          late.slice(at).every((address) => round.has(address)),
          'nobody is passed over',
        );
      }
      assert.equal(turns.addresses, 0);
    }),
  );
});
