import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type LimitReason, type PublicConnection, PublicConnections, type RequestPlace } from './public-connections.ts';
import { publicLimits } from './public-limits.ts';

const room = { files: 1024, memoryBytes: 8 * 1024 ** 3 };
const limits = publicLimits(room, {
  connections: 10,
  connectionsOfAddress: 3,
  connectionsOfIdentity: 2,
  requests: 10,
  requestsOfAddress: 2,
  requestsOfIdentity: 3,
  requestsOfConnection: 4,
});
const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '2001:db8::1', '2001:db8::2');
const identities = ['ada', 'bea', 'cyd'];

interface Present {
  connection: PublicConnection | undefined;
  identity: string | null;
  /** Nothing was asked on it yet: a balancer may still tell whose it is. */
  fresh: boolean;
}
interface Begun {
  of: Present;
  place: RequestPlace;
  whole: boolean;
}

test('whatever comes, room is bounded, what is proven gives way to its own identity alone, and the newest gets in', () => {
  const step = fc.tuple(
    fc.constantFrom('enter', 'enter', 'enter', 'belongs', 'prove', 'leave', 'begin', 'begin', 'whole', 'end'),
    fc.nat(30),
    address,
    fc.constantFrom(...identities),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const connections = new PublicConnections(limits);
      let present: Present[] = [];
      let begun: Begun[] = [];
      /** Who proves or comes in just now: the reason why another may go. */
      let acting: Present | undefined;
      for (const [deed, which, from, identity] of steps) {
        const one = present[which % (present.length || 1)];
        const request = begun[which % (begun.length || 1)];
        acting = one;
        if (deed === 'enter') {
          const others = [...present];
          const added: Present = { connection: undefined, identity: null, fresh: true };
          acting = added;
          present.push(added);
          added.connection = connections.enter(from, (reason) => {
            if (reason === 'connections-of-identity') {
              assert.equal(added.identity, acting?.identity, 'another identity gave way');
              assert.notEqual(added, acting, 'the newest');
            } else assert.equal(added.identity, null, 'a proven connection was cut for others');
            if (added === acting) assert.ok(others.every((other) => other.identity !== null));
            present = present.filter((each) => each !== added);
          });
        } else if (one?.connection && deed === 'belongs' && one.fresh) {
          one.fresh = false;
          connections.belongsTo(one.connection, from);
          assert.ok(present.includes(one), 'it gave way to itself');
        } else if (one?.connection && deed === 'prove') {
          one.fresh = false;
          one.identity ??= identity;
          connections.prove(one.connection, identity);
        } else if (one?.connection && deed === 'leave') {
          connections.leave(one.connection);
          present = present.filter((each) => each !== one);
        } else if (one?.connection && deed === 'begin') {
          one.fresh = false;
          const unfinished = begun.filter(({ of, whole }) => of.identity === null && !whole).length;
          let displaced = 0;
          const added: { request?: Begun } = {};
          const place = connections.beginRequest(one.connection, () => {
            assert.ok(added.request);
            assert.ok(
              added.request.of.identity === null && !added.request.whole,
              'what was whole, or proven, gave way',
            );
            begun = begun.filter((each) => each !== added.request);
            displaced += 1;
          });
          if (typeof place !== 'string') {
            added.request = { of: one, place, whole: false };
            begun.push(added.request);
          } else if (place === 'requests') assert.equal(unfinished, 0, 'refused although another could give way');
          assert.ok(displaced <= unfinished);
        } else if (request && deed === 'whole') {
          request.place.whole();
          request.whole = true;
        } else if (request && deed === 'end') {
          // The connection may be gone by then, or proven since.
          request.place.end();
          begun = begun.filter((each) => each !== request);
        }
        assert.equal(connections.size, present.length);
        assert.equal(connections.requests, begun.length);
        assert.ok(connections.size <= limits.connections && connections.requests <= limits.requests);
        assert.equal(connections.proven, present.filter((each) => each.identity !== null).length);
        for (const name of identities) {
          const own = present.filter((each) => each.identity === name);
          assert.ok(own.length <= limits.connectionsOfIdentity);
        }
      }
      for (const { place } of begun) place.end();
      for (const { connection } of present) if (connection) connections.leave(connection);
      assert.deepEqual([connections.size, connections.requests, connections.holders], [0, 0, 0]);
    }),
    { numRuns: 1000 },
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

test('connections that a balancer passes on count for the addresses that it tells, not for its own', () => {
  const connections = new PublicConnections(limits);
  const cut: string[] = [];
  const pass = (name: string, from: string) => {
    const connection = connections.enter('10.0.0.9', (reason) => cut.push(`${name} ${reason}`));
    connections.belongsTo(connection, from);
    assert.equal(connection.address, from);
  };
  for (let index = 0; index < 5; index += 1) pass(`nat-${index}`, '10.0.0.1');
  for (let index = 0; index < 4; index += 1) pass(`far-${index}`, `10.0.1.${index}`);
  assert.deepEqual(cut, [], 'the balancer itself holds nothing');
  pass('nat-5', '10.0.0.1');
  assert.deepEqual(cut, ['nat-0 connections-of-address']);
});

const stays = () => assert.fail('nobody gives way');

test('requests stop at the limit of their connection, of their address when there is little room, and of all', () => {
  const connections = new PublicConnections(limits);
  const enter = (from: string) => connections.enter(from, () => assert.fail('nobody is cut'));
  const [proven, first, second, third] = [enter('10.0.0.1'), enter('10.0.0.1'), enter('10.0.0.2'), enter('10.0.0.3')];
  connections.prove(proven, 'ada');
  const begun: RequestPlace[] = [];
  const begin = (connection: PublicConnection): LimitReason | null => {
    const place = connections.beginRequest(connection, stays);
    if (typeof place === 'string') return place;
    place.whole();
    begun.push(place);
    return null;
  };
  for (let index = 0; index < 4; index += 1) assert.equal(begin(first), null);
  assert.equal(begin(first), 'requests-of-connection');
  for (let index = 0; index < 4; index += 1) assert.equal(begin(second), null);
  assert.equal(begin(enter('10.0.0.2')), 'requests-of-address');
  assert.equal(begin(third), null);
  assert.equal(begin(third), 'requests', 'the last tenth is kept');
  assert.equal(begin(proven), null);
  assert.equal(begin(proven), 'requests');
  begun[0]?.end();
  assert.equal(begin(proven), null);
});

test('requests whose body has not come give way, the oldest first, those of the address before all others', () => {
  const connections = new PublicConnections({ ...limits, connections: 100 });
  const enter = (from: string) => connections.enter(from, () => assert.fail('nobody is cut'));
  const displaced: string[] = [];
  const begin = (name: string, connection: PublicConnection) =>
    connections.beginRequest(connection, (reason) => displaced.push(`${name} ${reason}`));
  for (let index = 0; index < 9; index += 1) begin(`silent-${index}`, enter(`10.0.0.${index}`));
  assert.equal(displaced.length, 0, 'there was room');
  const place = begin('device', enter('10.0.1.1'));
  assert.ok(typeof place !== 'string');
  assert.deepEqual(displaced, ['silent-0 requests']);
  place.whole();
  const stranger = enter('10.0.2.1');
  for (let index = 0; index < 3; index += 1) begin(`stranger-${index}`, stranger);
  assert.deepEqual(displaced.slice(1), ['silent-1 requests', 'silent-2 requests', 'stranger-0 requests-of-address']);
  for (let index = 0; index < 30; index += 1) begin(`far-${index}`, enter(`10.1.${index}.1`));
  assert.ok(displaced.length > 30 && displaced.every((text) => !text.startsWith('device')));
  place.end();
});

test('one identity has a few connections and requests, and fills nobody else’s room', () => {
  const connections = new PublicConnections(limits);
  const cut: string[] = [];
  const enter = (name: string) => connections.enter('10.0.0.1', (reason) => cut.push(`${name} ${reason}`));
  const ada = ['ada-0', 'ada-1', 'ada-2', 'ada-3'].map((name) => {
    const connection = enter(name);
    connections.prove(connection, 'ada');
    return connection;
  });
  assert.deepEqual(cut, ['ada-0 connections-of-identity', 'ada-1 connections-of-identity']);
  const answers = [0, 1, 2, 3].map((index) =>
    connections.beginRequest(ada[2 + (index % 2)] as PublicConnection, stays),
  );
  assert.deepEqual(
    answers.map((answer) => typeof answer),
    ['object', 'object', 'object', 'string'],
  );
  assert.equal(answers[3], 'requests-of-identity');
  const bea = enter('bea');
  connections.prove(bea, 'bea');
  assert.notEqual(typeof connections.beginRequest(bea, stays), 'string');
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
