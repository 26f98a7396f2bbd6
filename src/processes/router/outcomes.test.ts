/**
 * What a router counts of devices' requests, for whom, and how it reports it: over real links, with instances that die.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { Agent } from 'node:https';
import { type TestContext, test } from 'node:test';
import type { LinkHandlers } from '../../link/link-endpoint.ts';
import type { OutcomeReport } from '../../link/messages.ts';
import { until } from '../../testing/condition.ts';
import { OutcomeCounter } from './outcome-counter.ts';
import type { RouterOptions } from './router.ts';
import { ask, createStage, newToken, nextUp, type Stage, testComponent } from './router-fixture.ts';

const limited = { timeout: 120_000 };
const endless = 3_600_000;
const versions = (identifier: string, linkVersions: number[]) => ({ ...testComponent(identifier), linkVersions });

async function stageFor(t: TestContext, overrides: Partial<RouterOptions> = {}): Promise<Stage> {
  const component = versions('router-1', [1, 2]);
  // Reports go out when a test says so.
  const stage = await createStage({ component, reportOutcomesEveryMs: endless, ...overrides });
  t.after(() => stage.close());
  return stage;
}

type Behaviour = NonNullable<LinkHandlers['request']>;
const answers =
  (status: number): Behaviour =>
  (_, response) =>
    void response.writeHead(status).end();

async function instance(stage: Stage, identifier: string, version: number, given: Partial<LinkHandlers> = {}) {
  const link = await stage.dial(identifier, {
    component: versions(identifier, [version]),
    handlers: { request: answers(200), ...given },
  });
  await nextUp(link);
  await until(`${identifier} is linked`, 60_000, () => stage.router.links.get(identifier) !== undefined);
  return link;
}

/** A device of the instance that has proven its identity once. */
async function knownDevice(stage: Stage, identifier: string): Promise<string> {
  const token = newToken();
  stage.routes.set(token, { identifier, connectionServices: [] });
  assert.equal((await ask(stage, `/mdm/${token}/connect`)).status, 200);
  return token;
}

test(
  'what devices see is told by token: answered, 5xx, twice 421, lost and late answers, no link',
  limited,
  async (t) => {
    const stage = await stageFor(t, { deadlineMs: 5000 });
    const told: OutcomeReport[] = [];
    let behave: Behaviour = answers(200);
    await instance(stage, 'S00000002', 2, { outcomes: async (report) => void told.push(report) });
    const link = await instance(stage, 'S00000001', 1, { request: (request, response) => behave(request, response) });
    const behaviours: Record<string, [number, Behaviour]> = {
      answered: [200, answers(204)],
      refused: [403, answers(403)],
      failing: [500, answers(500)],
      redirecting: [503, (_, response) => void response.writeHead(421, { 'bramble-owner': 'S00000001' }).end()],
      lost: [503, (request) => void request.stream.close(2)],
      late: [503, () => undefined],
    };
    const tokens: Record<string, string> = {};
    for (const name of [...Object.keys(behaviours), 'unlinked']) tokens[name] = await knownDevice(stage, 'S00000001');
    const unproven = newToken();
    stage.routes.set(unproven, { identifier: 'S00000001', connectionServices: [] });
    await stage.router.outcomes.turn();
    told.length = 0;

    for (const [name, [status, behaviour]] of Object.entries(behaviours)) {
      behave = behaviour;
      const answer = await ask(stage, `/mdm/${tokens[name]}/connect`);
      assert.ok(name === 'answered' ? answer.status === 204 : answer.status === status, `${name}: ${answer.status}`);
    }
    behave = answers(500);
    await ask(stage, `/mdm/${unproven}/connect`);
    await ask(stage, `/scep/${tokens['answered']}`, { method: 'GET' });
    await link.close(100);
    await until('the link is gone', 60_000, () => stage.router.links.standing('S00000001') === undefined);
    assert.equal((await ask(stage, `/mdm/${tokens['unlinked']}/connect`)).status, 503);

    await stage.router.outcomes.turn();
    const [report, ...more] = told;
    assert.deepEqual(more, []);
    assert.deepEqual([report?.router, report?.sequence], ['router-1', 2]);
    const failed = Object.fromEntries(
      (report?.outcomes ?? []).map((outcome) => [
        Object.keys(tokens).find((name) => tokens[name] === outcome.token) ?? 'a stranger',
        outcome.failed,
      ]),
    );
    assert.deepEqual(failed, {
      answered: false,
      refused: false,
      failing: true,
      redirecting: true,
      lost: true,
      late: true,
      unlinked: true,
    });
    assert.deepEqual([...new Set(report?.outcomes.map(({ identifier }) => identifier))], ['S00000001']);
    const late = report?.outcomes.find(({ token }) => token === tokens['late']);
    assert.ok((late?.latencyMs ?? 0) >= 4000, `${late?.latencyMs} ms`);
  },
);

/** An instance that hears what its devices' requests came to, and answers them with 200 until it is told otherwise. */
async function listeningInstance(stage: Awaited<ReturnType<typeof stageFor>>) {
  const told: OutcomeReport[] = [];
  let status = 200;
  await instance(stage, 'S00000001', 2, {
    request: (_, response) => void response.writeHead(status).end(),
    outcomes: async (report) => void told.push(report),
  });
  const answerWith = (next: number) => {
    status = next;
  };
  return { told, answerWith };
}

test('a device counts once in ten seconds, as failed if any of its requests was', limited, async (t) => {
  const stage = await stageFor(t);
  const { told, answerWith } = await listeningInstance(stage);
  const token = await knownDevice(stage, 'S00000001');
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (const status of [200, 500, 200, 500]) {
    answerWith(status);
    await ask(stage, `/mdm/${token}/connect`, { agent });
  }
  await stage.router.outcomes.turn();
  answerWith(200);
  await ask(stage, `/mdm/${token}/connect`, { agent });
  await stage.router.outcomes.turn();
  assert.deepEqual(
    told.map(({ sequence, outcomes }) => [sequence, outcomes.map(({ failed }) => failed)]),
    [
      [1, [true]],
      [2, [false]],
    ],
  );
});

test(
  'a stranger who has a device’s token adds nothing: another certificate, or another address',
  limited,
  async (t) => {
    const stage = await stageFor(t);
    const { told, answerWith } = await listeningInstance(stage);
    const [mine, others] = [await stage.devices.issue('mine'), await stage.devices.issue('others')];
    const token = newToken();
    stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
    await ask(stage, `/mdm/${token}/connect`, { device: mine });
    const addressed = await knownDevice(stage, 'S00000001');
    await stage.router.outcomes.turn();
    told.length = 0;
    answerWith(500);
    await ask(stage, `/mdm/${token}/connect`, { device: others });
    await ask(stage, `/mdm/${token}/connect`);
    await ask(stage, `/mdm/${addressed}/connect`, { localAddress: '127.0.0.2' });
    await stage.router.outcomes.turn();
    assert.equal(told.length, 0);
    await ask(stage, `/mdm/${token}/connect`, { device: mine });
    await stage.router.outcomes.turn();
    assert.deepEqual(
      told.flatMap(({ outcomes }) => outcomes.map((outcome) => [outcome.token, outcome.failed])),
      [[token, true]],
    );
  },
);

test('whatever tokens come, no more is remembered than devices that proved themselves, the newest of them', () => {
  const counter = new OutcomeCounter({ provenDevices: 2, outcomes: 3 });
  const sender = { clientCertificate: null, remoteAddress: '192.0.2.1' };
  const rule = { kind: 'connect', purpose: 'commands', maxBytes: 1, protocol: null } as const;
  const count = (token: string, status: number) =>
    counter.count({ address: { rule, token }, sender, owner: 'S00000001', status, latencyMs: 1 });
  const taken = () => counter.take().map(({ token, failed }) => `${token} ${failed ? 'failed' : 'answered'}`);
  for (let stranger = 0; stranger < 1000; stranger++) count(`stranger-${stranger}`, stranger % 2 ? 403 : 503);
  for (const token of ['a', 'b', 'c']) count(token, 200);
  for (const token of ['a', 'b', 'c', 'stranger-1']) count(token, 503);
  assert.deepEqual(taken(), ['a answered', 'b failed', 'c failed']);
  for (const token of ['d', 'c', 'd', 'e', 'f']) count(token, 200);
  assert.deepEqual(taken(), ['d answered', 'c answered', 'e answered']);
});

test(
  'after a router’s start a first failed request counts, if an instance knows the certificate as a device’s',
  limited,
  async (t) => {
    const stage = await stageFor(t);
    const told: OutcomeReport[] = [];
    await instance(stage, 'S00000001', 2, {
      request: answers(500),
      outcomes: async (report) => void told.push(report),
    });
    const [known, unknown] = [await stage.devices.issue('known'), await stage.devices.issue('unknown')];
    const fingerprint = new X509Certificate(known.certificatePem).fingerprint256.replaceAll(':', '').toLowerCase();
    stage.routes.set(fingerprint, { identifier: 'S00000001', connectionServices: [] });
    const [mine, others] = [newToken(), newToken()];
    for (const token of [mine, others]) stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
    await ask(stage, `/mdm/${others}/connect`, { device: unknown });
    await ask(stage, `/mdm/${others}/connect`);
    await ask(stage, `/mdm/${mine}/connect`, { device: known });
    await until('the failure is told', 60_000, async () => {
      await stage.router.outcomes.turn();
      return told.length > 0;
    });
    assert.deepEqual(
      told.flatMap(({ outcomes }) => outcomes.map(({ token, failed }) => [token, failed])),
      [[mine, true]],
    );
  },
);

test(
  'an instance of link version 1 never hears of it; what waits for one of version 2 is told when it comes',
  limited,
  async (t) => {
    const stage = await stageFor(t);
    const [old, current]: [OutcomeReport[], OutcomeReport[]] = [[], []];
    await instance(stage, 'S00000001', 1, { outcomes: async (report) => void old.push(report) });
    const token = await knownDevice(stage, 'S00000001');
    for (let round = 0; round < 2; round++) {
      await ask(stage, `/mdm/${token}/connect`);
      await stage.router.outcomes.turn();
    }
    assert.equal(stage.router.outcomes.waiting, 2);
    await instance(stage, 'S00000002', 2, { outcomes: async (report) => void current.push(report) });
    await stage.router.outcomes.turn();
    assert.equal(old.length, 0);
    assert.deepEqual(
      current.map(({ sequence }) => sequence),
      [1, 2],
    );
    assert.equal(stage.router.outcomes.waiting, 0);
  },
);

test(
  'a report whose instance dies over it, refuses it or never answers is told again under its number',
  limited,
  async (t) => {
    const stage = await stageFor(t);
    const told: string[] = [];
    let dying: 'breaks' | 'refuses' = 'breaks';
    const first = await instance(stage, 'S00000001', 2, {
      outcomes: async ({ sequence }) => {
        told.push(`first ${sequence}`);
        if (dying === 'refuses') throw new Error('no database');
        // It dies during the reply: whether it counted the report is unknown.
        for (const link of stage.router.links.all()) if (link.identifier === 'S00000001') link.session.destroy();
      },
    });
    const token = await knownDevice(stage, 'S00000001');
    await ask(stage, `/mdm/${token}/connect`);
    await stage.router.outcomes.turn();
    assert.deepEqual(told, ['first 1']);
    await until('it is linked again', 60_000, () => stage.router.links.get('S00000001') !== undefined);
    dying = 'refuses';
    await ask(stage, `/mdm/${token}/connect`);
    await stage.router.outcomes.turn();
    assert.deepEqual(told, ['first 1', 'first 1'], 'the second waits behind it');
    await instance(stage, 'S00000002', 2, { outcomes: async ({ sequence }) => void told.push(`second ${sequence}`) });
    await first.close(100);
    await until('the first is gone', 60_000, () => stage.router.links.standing('S00000001') === undefined);
    await stage.router.outcomes.turn();
    assert.deepEqual(told.slice(2), ['second 1', 'second 2']);
  },
);

test('a router that drains tells what it counted last', limited, async (t) => {
  const stage = await stageFor(t);
  const told: OutcomeReport[] = [];
  await instance(stage, 'S00000001', 2, { outcomes: async (report) => void told.push(report) });
  const token = await knownDevice(stage, 'S00000001');
  await ask(stage, `/mdm/${token}/connect`);
  await stage.router.drain(100);
  assert.deepEqual(
    told.flatMap(({ outcomes }) => outcomes.map((outcome) => outcome.token)),
    [token],
  );
});
