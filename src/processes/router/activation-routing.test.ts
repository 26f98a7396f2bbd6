/** An activation reaches the instance of its account and no other, whatever the others answer. */
import assert from 'node:assert/strict';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { SrpLink } from '../../link/dialler.ts';
import { createTestAuthority } from '../../link/link-fixture.ts';
import { maxAccountQuestions } from '../../link/messages.ts';
import { signEnvelope } from '../../link/signed-envelope.ts';
import { activationRefusal } from '../../platforms/enrolment-refusals.ts';
import { ask, createStage, nextUp, type Stage, testComponent } from './router-fixture.ts';

const limited = { timeout: 60_000 };
const [one, two, three] = ['S00000001', 'S00000002', 'S00000003'] as const;
const formType = { 'content-type': 'application/x-www-form-urlencoded' };

describe('an activation through the router', limited, () => {
  let stage: Stage;
  /** Bodies of requests, by the instance that got them. */
  let seen: Record<string, string[]>;
  let behave: (identifier: string, response: Http2ServerResponse) => void;

  beforeEach(async () => {
    stage = await createStage({ component: speaks('router-1', [1, 2]), deadlineMs: 20_000 });
    seen = { [one]: [], [two]: [], [three]: [] };
    behave = (identifier, response) => void response.writeHead(200).end(identifier);
  });
  afterEach(() => stage.close());

  const speaks = (name: string, linkVersions: number[]) => ({ ...testComponent(name), linkVersions });

  async function link(identifier: string, linkVersions: number[], handlers = {}): Promise<SrpLink> {
    const request = async (request: Http2ServerRequest, response: Http2ServerResponse) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      seen[identifier]?.push(Buffer.concat(chunks).toString());
      behave(identifier, response);
    };
    const dialled = await stage.dial(identifier, {
      component: speaks(identifier, linkVersions),
      handlers: { request: (...given) => void request(...given), ...handlers },
    });
    await nextUp(dialled);
    return dialled;
  }

  const owned = (account: string, identifier: string) =>
    stage.routes.set(account, { identifier, connectionServices: [] });
  const formOf = (account: string) => new URLSearchParams({ account, password: 'h7kqmx-2d9w8r-tnp4c6' }).toString();
  const activate = (account: string, body = formOf(account)) =>
    ask(stage, '/activate', { method: 'POST', headers: formType, body });
  const counts = () => [one, two, three].map((identifier) => seen[identifier]?.length);
  const outcome = ({ status, code }: { status: number; code: string | undefined }) => [status, code];

  test('reaches the instance of the account alone, however its name is typed', async () => {
    for (const identifier of [one, two, three]) await link(identifier, [1, 2]);
    owned('jos\u00e9@example.org', two);
    for (const typed of ['jos\u00e9@example.org', ' Jose\u0301@Example.org ', 'JOS\u00c9@EXAMPLE.ORG']) {
      const answer = await activate(typed);
      assert.deepEqual([answer.status, answer.body], [200, two]);
    }
    assert.deepEqual(counts(), [0, 3, 0]);
    assert.equal(seen[two]?.[0], formOf('jos\u00e9@example.org'));
  });

  test('for a platform that there is not is answered the same whether or not the account exists, and reaches nobody', async () => {
    await link(one, [1, 2]);
    owned('ada', one);
    const answers = await Promise.all(
      ['ada', 'nobody'].map(async (account) => {
        const { status, body } = await activate(account, `${formOf(account)}&platform=zzz`);
        return [status, body];
      }),
    );
    assert.deepEqual(answers[0], answers[1]);
    assert.equal(answers[0]?.[0], 400);
    assert.match(String(answers[0]?.[1]), /There is no platform \\"zzz\\"/);
    assert.deepEqual(counts(), [0, 0, 0]);
  });

  test('never reaches who holds a credential without the signature of the domain, whatever it answers', async () => {
    const { key } = await createTestAuthority('Nobody');
    const claims = (sign: (value: unknown) => unknown) => ({
      routes: {
        answer: async ({ accounts = [] }: { accounts?: string[] }) =>
          accounts.map((account) => ({ account, identifier: three, connectionServices: [] })),
        sign,
      },
    });
    await link(one, [1, 2]);
    await link(
      three,
      [1, 2],
      claims((value) => signEnvelope(value, key)),
    );
    owned('ada', one);
    for (let turn = 0; turn < 4; turn += 1) assert.equal((await activate('ada')).body, one);
    assert.deepEqual(counts(), [4, 0, 0]);
  });

  test('never goes where an answer to an earlier question says', async () => {
    let recorded: unknown;
    await link(one, [1, 2], {
      routes: {
        answer: async ({ accounts = [] }: { accounts?: string[] }) =>
          accounts.map((account) => ({ account, identifier: one, connectionServices: [] })),
        sign: (value: unknown) => {
          recorded ??= signEnvelope(value, stage.domain.key);
          return recorded;
        },
      },
    });
    owned('ada', two);
    assert.equal((await activate('ada')).body, one);
    await link(two, [1, 2]);
    for (let turn = 0; turn < 4; turn += 1) assert.equal((await activate('ada')).body, two);
    assert.deepEqual(counts(), [1, 4, 0]);
  });

  test('follows a signed answer after a 421, and never the word of the instance that said it', async () => {
    for (const identifier of [one, two, three]) await link(identifier, [1, 2]);
    owned('ada', one);
    behave = (identifier, response) => {
      if (identifier === two) return void response.writeHead(200).end(two);
      response.writeHead(421, { 'bramble-owner': three }).end();
    };
    assert.deepEqual(outcome(await activate('ada')), [503, 'ERR_ROUTE_UNSETTLED']);
    assert.deepEqual(counts(), [2, 0, 0]);
    behave = (identifier, response) => {
      if (identifier === two) return void response.writeHead(200).end(two);
      owned('ada', two);
      response.writeHead(421, { 'bramble-owner': three }).end();
    };
    assert.equal((await activate('ada')).body, two);
    assert.deepEqual(counts(), [3, 1, 0]);
  });

  test('of an account that nobody has is refused as an instance refuses, and reaches none', async () => {
    await link(one, [1, 2]);
    owned('ada', one);
    behave = (_identifier, response) =>
      void response
        .writeHead(400, { 'content-type': 'application/json' })
        .end(JSON.stringify({ code: activationRefusal.code, message: activationRefusal.message }));
    const seenBy = async (account: string) => {
      const { status, headers, body } = await activate(account);
      return { status, headers: { ...headers, date: '' }, body };
    };
    const wrong = await seenBy('ada');
    assert.equal(wrong.status, 400);
    for (const account of ['nobody', 'a b', '../x', 'x'.repeat(201)]) assert.deepEqual(await seenBy(account), wrong);
    assert.deepEqual(counts(), [1, 0, 0]);
    owned('nobody', one);
    await activate('nobody');
    assert.deepEqual(counts(), [2, 0, 0], 'an account that was made a moment ago is found at once');
  });

  test('that is no readable form names no account, and reaches none', async () => {
    await link(one, [1, 2]);
    owned('ada', one);
    const body = formOf('ada');
    const post = (given: object, path = '/activate') =>
      ask(stage, path, { method: 'POST', headers: formType, body, ...given });
    assert.deepEqual(outcome(await post({ method: 'PUT' })), [405, 'ERR_METHOD']);
    assert.deepEqual(outcome(await post({ headers: {} })), [415, 'ERR_CONTENT_TYPE']);
    assert.deepEqual(outcome(await post({}, '/activate/profile')), [404, 'ERR_NOT_FOUND']);
    for (const unreadable of ['', 'account=ada', `${body}&account=eve`, `${body}&x=%ff`, 'a&'.repeat(2000)]) {
      assert.deepEqual(outcome(await post({ body: unreadable })), [400, 'ERR_INPUT'], unreadable.slice(0, 40));
    }
    assert.deepEqual(counts(), [0, 0, 0]);
  });

  test('goes to an instance of 1.1 when a signed answer names it, and gets 503 while its instance is away', async () => {
    await link(one, [1]);
    await link(two, [1, 2]);
    owned('ada', one);
    owned('bob', three);
    for (let turn = 0; turn < 4; turn += 1) assert.equal((await activate('ada')).body, one);
    assert.deepEqual(outcome(await activate('bob')), [503, 'ERR_NOT_CONNECTED']);
    assert.deepEqual(counts(), [4, 0, 0]);
  });

  test('goes to any instance and follows its 421 while only instances of 1.1 are linked', async () => {
    for (const identifier of [one, two]) await link(identifier, [1]);
    behave = (identifier, response) => {
      if (identifier === two) return void response.writeHead(200).end(two);
      response.writeHead(421, { 'bramble-owner': two }).end();
    };
    for (let turn = 0; turn < 4; turn += 1) assert.equal((await activate('ada')).body, two);
  });

  test('does not go by word to an identifier that could be asked before, when it comes back as one of 1.1', async () => {
    const former = await link(one, [1, 2]);
    owned('ada', one);
    assert.equal((await activate('ada')).body, one);
    await former.close(100);
    await link(one, [1]);
    assert.deepEqual(outcome(await activate('ada')), [503, 'ERR_NOT_CONNECTED']);
    assert.deepEqual(counts(), [1, 0, 0]);
  });

  test('is asked for in batches that the link carries, also with the longest names', async () => {
    const asked: number[] = [];
    await link(one, [1, 2], {
      routes: {
        answer: async ({ accounts = [] }: { accounts?: string[] }) => {
          asked.push(accounts.length);
          return accounts.map((account) => ({ account, identifier: one, connectionServices: [] }));
        },
        sign: (value: unknown) => signEnvelope(value, stage.domain.key),
      },
    });
    const names = Array.from({ length: 3 * maxAccountQuestions }, (_, i) => String(i).padStart(200, '\ud55c'));
    const routes = await Promise.all(names.map((name) => stage.router.routes.find('account', name)));
    assert.ok(routes.every((route) => route.kind === 'found'));
    assert.deepEqual(asked, [maxAccountQuestions, maxAccountQuestions, maxAccountQuestions]);
    assert.equal(stage.router.routes.size, 0, 'strangers push no device out of the cache');
  });
});
