import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressGroup, type PublicConnection, PublicConnections } from './public-connections.ts';
import { publicLimits } from './public-limits.ts';

const room = { files: 1024, memoryBytes: 8 * 1024 ** 3 };
const limits = publicLimits(room, {
  connections: 10,
  connectionsOfAddress: 3,
  requests: 10,
  requestsOfAddress: 2,
  requestsOfConnection: 4,
});
const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '2001:db8::1', '2001:db8::2');

test('whatever comes, room is bounded, no proven connection is cut, and the newest gets in while an older proved nothing', () => {
  const step = fc.tuple(
    fc.constantFrom('enter', 'enter', 'enter', 'prove', 'leave', 'begin', 'end'),
    fc.nat(30),
    address,
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const connections = new PublicConnections(limits);
      const present: PublicConnection[] = [];
      const begun: PublicConnection[] = [];
      for (const [deed, which, from] of steps) {
        const one = present[which % (present.length || 1)];
        if (deed === 'enter') {
          const all = [...present];
          let cut = 0;
          let self: PublicConnection | undefined;
          const entering: { cut: boolean } = { cut: false };
          self = connections.enter(from, () => {
            if (self === undefined) entering.cut = true;
            else {
              assert.equal(self.proven, false, 'a proven connection was cut');
              present.splice(present.indexOf(self), 1);
            }
            cut += 1;
          });
          if (entering.cut) assert.ok(all.every(({ proven }) => proven));
          else present.push(self);
          assert.ok(cut <= 1);
        } else if (one && deed === 'prove') connections.prove(one);
        else if (one && deed === 'leave') {
          connections.leave(one);
          present.splice(present.indexOf(one), 1);
        } else if (one && deed === 'begin') {
          if (connections.beginRequest(one) === null) begun.push(one);
        } else if (deed === 'end') {
          const [ended] = begun.splice(which % (begun.length || 1), 1);
          // The connection may be gone by then, or proven since.
          if (ended) connections.endRequest(ended);
        }
        assert.equal(connections.size, present.length);
        assert.equal(connections.requests, begun.length);
        assert.ok(connections.size <= limits.connections && connections.requests <= limits.requests);
        assert.equal(connections.proven, present.filter(({ proven }) => proven).length);
      }
      for (const one of begun) connections.endRequest(one);
      for (const one of present) connections.leave(one);
      assert.deepEqual([connections.size, connections.requests, connections.addresses], [0, 0, 0]);
    }),
    { numRuns: 500 },
  );
});

test('an address counts only while there is little room, and then makes room for itself', () => {
  const connections = new PublicConnections(limits);
  const cut: string[] = [];
  const enter = (name: string, from: string) => connections.enter(from, (reason) => cut.push(`${name} ${reason}`));
  for (let index = 0; index < 8; index += 1) enter(`nat-${index}`, '10.0.0.1');
  assert.deepEqual(cut, [], 'thousands of devices may stand behind one address');
  enter('other', '10.0.0.2');
  assert.deepEqual(cut, []);
  enter('nat-8', '10.0.0.1');
  assert.deepEqual(cut, ['nat-0 connections-of-address']);
  for (let index = 0; index < 3; index += 1) enter(`far-${index}`, `10.0.1.${index}`);
  assert.deepEqual(cut.slice(1), ['nat-1 connections', 'nat-2 connections']);
});

test('requests stop at the limit of their connection, of their address when there is little room, and of all', () => {
  const connections = new PublicConnections(limits);
  const enter = (from: string) => connections.enter(from, () => assert.fail('nobody is cut'));
  const [proven, first, second, third] = [enter('10.0.0.1'), enter('10.0.0.1'), enter('10.0.0.2'), enter('10.0.0.3')];
  connections.prove(proven);
  for (let index = 0; index < 4; index += 1) assert.equal(connections.beginRequest(first), null);
  assert.equal(connections.beginRequest(first), 'requests-of-connection');
  for (let index = 0; index < 4; index += 1) assert.equal(connections.beginRequest(second), null);
  assert.equal(connections.beginRequest(enter('10.0.0.2')), 'requests-of-address');
  assert.equal(connections.beginRequest(third), null);
  assert.equal(connections.beginRequest(third), 'requests', 'the last tenth is kept');
  assert.equal(connections.beginRequest(proven), null);
  assert.equal(connections.beginRequest(proven), 'requests');
  connections.endRequest(first);
  assert.equal(connections.beginRequest(proven), null);
});

test('an address of IPv6 stands for its /64, and a mapped one for what it maps', () => {
  for (const [given, expected] of [
    ['10.1.2.3', '10.1.2.3'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ] as const) {
    assert.equal(addressGroup(given), expected);
  }
});

test('the limits follow from descriptors and memory, and settings come first', () => {
  const small = publicLimits({ files: 1024, memoryBytes: 1024 ** 3 });
  assert.equal(small.connections, 768);
  assert.equal(small.requests, 2048);
  const large = publicLimits({ files: 1_000_000, memoryBytes: 4 * 1024 ** 3 });
  assert.equal(large.connections, 10_485);
  const chosen = publicLimits(room, { connections: 50, firstRequestMs: 1, requests: undefined });
  assert.deepEqual([chosen.connections, chosen.connectionsOfAddress, chosen.firstRequestMs], [50, 4, 1]);
  assert.equal(chosen.requests, publicLimits(room).requests);
});
