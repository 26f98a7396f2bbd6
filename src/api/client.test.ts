/** The client, against HTTP servers that answer as administration services of several releases do. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { accountOperations } from './accounts.ts';
import { auditOperations } from './audit.ts';
import { type ClientOptions, chooseInOrder, createAdministrationClient } from './client.ts';
import { deliveryOperations } from './deliveries.ts';
import { deviceOperations } from './devices.ts';
import { domainOperations } from './domain.ts';
import { AnsweredError } from './exchange.ts';
import { groupOperations } from './groups.ts';
import { openidProviderOperations } from './openid-providers.ts';
import { signInOperations } from './sign-in.ts';

const limited = { timeout: 60_000 };
type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

async function listen(context: TestContext, handler: Handler) {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    asked.push(`${request.method} ${request.url}`);
    handler(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const json =
  (value: unknown, status = 200): Handler =>
  (_request, response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
const brokenOff: Handler = (request) => void request.socket.destroy();
const fenced = json({ code: 'ERR_RELEASE_FENCED', message: 'another release', details: {} }, 409);

const clientOf = (urls: readonly string[], options: Omit<ClientOptions, 'choose'> = {}) =>
  createAdministrationClient({ ...options, choose: chooseInOrder(async () => ({ urls, token: 'secret' })) });

const account = {
  ...{ id: '1', name: 'ada', displayName: 'Ada', instance: 'one', srpIdentifier: 'S10000001', epoch: 1 },
  ...{ moving: false, groups: [], deviceCount: 0, createdAt: '2026-11-01T10:00:00.000Z' },
};

test('what is asked goes where the operation says, with token, query and body', limited, async (context) => {
  const seen: unknown[] = [];
  const { url, asked } = await listen(context, (request, response, body) => {
    seen.push(request.headers.authorization, body);
    json(account)(request, response, body);
  });
  const client = clientOf([`${url}/`]);
  await client.send(accountOperations.list, { query: { group: 'a&b', instance: undefined, limit: 5 } });
  await client.send(accountOperations.show, { params: { name: 'ada/.. ?' } });
  await client.send(accountOperations.show, { params: { name: '..' } });
  const made = await client.call(accountOperations.create, { body: { name: 'ada' } });
  assert.deepEqual(asked, [
    'GET /api/v1/accounts?group=a%26b&limit=5',
    'GET /api/v1/accounts/ada%2F..%20%3F',
    'GET /api/v1/accounts/%20..',
    'POST /api/v1/accounts',
  ]);
  assert.deepEqual(seen.slice(-2), ['Bearer secret', '{"name":"ada"}']);
  assert.deepEqual(made.createdAt, new Date('2026-11-01T10:00:00Z'));
});

test('what was decided by what was shown is sent with its ETag', limited, async (context) => {
  const seen: unknown[] = [];
  const { url } = await listen(context, (request, response, body) => {
    seen.push(request.headers['if-match']);
    json({})(request, response, body);
  });
  const change = { params: { name: 'staff' }, body: { title: 'Staff' } };
  await clientOf([url]).send(openidProviderOperations.change, { ...change, revision: 48 });
  await clientOf([url]).send(openidProviderOperations.change, change);
  assert.deepEqual(seen, ['"48"', undefined]);
});

test('a later release may answer more, and an earlier one less', limited, async (context) => {
  const { url } = await listen(context, (request, response, body) => {
    const device = {
      ...{ id: 'd', account: 'ada', instance: 'one', platform: 'new', state: 'resting', udid: null, model: null },
      ...{ serialNumber: null, product: null, osVersion: null, softwareVersion: null, pushState: 'known' },
      ...{ appliedPolicyRevision: null, appliedBooksRevision: null, synchronizedAt: null, lastSeenAt: null },
      ...{ createdAt: '2026-11-01T10:00:00.000Z', pendingCommands: 0, openDeliveries: 0, colour: 'blue' },
      identityRenewal: { state: 'postponed', attempts: 1, text: 'tomorrow' },
    };
    json({ devices: [device], next: null, total: 1 })(request, response, body);
  });
  const client = clientOf([url]);
  const page = await client.call(deviceOperations.list, {});
  const [device] = page.devices;
  assert.deepEqual(
    [device?.mustEnrolAgain, device?.unansweredCommands, device?.identityRenewal?.state],
    [false, 0, 'postponed'],
  );
  assert.deepEqual(Object.keys(page), ['devices', 'next']);
  const sent = (await client.send(deviceOperations.list, {})) as { total: number };
  assert.equal(sent.total, 1);
});

test('what lacks something that is needed is said with its place', limited, async (context) => {
  const { url } = await listen(context, json({ accounts: [{ ...account, epoch: 'x' }], next: null }));
  await assert.rejects(clientOf([url]).call(accountOperations.list, {}), {
    code: 'ERR_ADMIN_ANSWER',
    message: /GET \/accounts .*accounts\.0\.epoch/,
  });
});

test('failures have the service’s code and status, and what is no service says so', limited, async (context) => {
  const missing = await listen(context, json({ code: 'ERR_NOT_FOUND', message: 'no such', details: { what: 1 } }, 404));
  const asked = clientOf([missing.url]).call(groupOperations.listMembers, { params: { name: 'x' } });
  await assert.rejects(asked, (error: unknown) => {
    assert.ok(error instanceof AnsweredError);
    assert.deepEqual(
      [error.status, error.code, error.asked, error.details],
      [404, 'ERR_NOT_FOUND', 'GET /groups/x/members', { what: 1 }],
    );
    return true;
  });
  for (const status of [200, 502]) {
    const other = await listen(context, (_request, response) => void response.writeHead(status).end('<html>'));
    await assert.rejects(clientOf([other.url]).call(groupOperations.list, {}), { code: 'ERR_ADMIN_ANSWER' });
  }
  await assert.rejects(clientOf(['http://127.0.0.1:1']).call(groupOperations.list, {}), {
    code: 'ERR_ADMIN_UNREACHABLE',
  });
});

test(
  'a change goes on to the next service from a fenced one only, a question from a silent one too',
  limited,
  async (context) => {
    const [broken, closed, good] = await Promise.all(
      [brokenOff, fenced, json(account)].map((handler) => listen(context, handler)),
    );
    const urls = [broken, closed, good].map((server) => server?.url ?? '');
    await clientOf(urls).send(accountOperations.show, { params: { name: 'ada' } });
    await assert.rejects(clientOf(urls).call(accountOperations.create, { body: { name: 'ada' } }), {
      code: 'ERR_ADMIN_UNREACHABLE',
      message: /It is unknown whether the request was carried out/,
    });
    await clientOf(urls.slice(1)).call(accountOperations.create, { body: { name: 'ada' } });
    await clientOf(urls, { repeatable: true }).call(accountOperations.create, { body: { name: 'ada' } });
    const all = [good, closed, broken].map((server) => server?.asked.filter((line) => line.startsWith('POST')).length);
    assert.deepEqual(all, [2, 2, 2]);
    // What a fenced one answered says more than that nobody answers.
    const left = clientOf([urls[0] ?? '', urls[1] ?? '', 'http://127.0.0.1:1'], { repeatable: true });
    await assert.rejects(left.call(accountOperations.create, { body: { name: 'ada' } }), {
      code: 'ERR_RELEASE_FENCED',
    });
  },
);

test(
  'a change that may have been carried out goes on with its key, to services that keep it',
  limited,
  async (context) => {
    const keys: unknown[] = [];
    const noting =
      (handler: Handler): Handler =>
      (request, ...rest) => {
        keys.push(request.headers['idempotency-key']);
        handler(request, ...rest);
      };
    const [broken, good] = await Promise.all(
      [brokenOff, json(account)].map((handler) => listen(context, noting(handler))),
    );
    const urls = [broken?.url ?? '', good?.url ?? ''];
    const keeping = (...keepers: (string | undefined)[]) => {
      const choose = chooseInOrder(async () => ({ urls, token: 'secret' }));
      return createAdministrationClient({
        choose: async (passOver) => {
          const access = await choose(passOver);
          return { ...access, keepsKeys: keepers.includes(access.url) };
        },
      });
    };
    const create = async (client: ReturnType<typeof keeping>) =>
      await client.call(accountOperations.create, { body: { name: 'ada' } });
    const lost = { code: 'ERR_ADMIN_UNREACHABLE', message: /It is unknown whether the request was carried out/ };

    await assert.rejects(create(keeping(good?.url)), lost);
    await assert.rejects(create(keeping(broken?.url)), lost);
    assert.deepEqual([broken?.asked.length, good?.asked.length], [3, 0]);
    keys.length = 0;
    assert.equal((await create(keeping(...urls))).name, 'ada');
    assert.equal(new Set(keys).size, 1);
    assert.equal(keys.length, 3);
    await create(keeping(...urls));
    assert.equal(new Set(keys).size, 2, 'each request has a key of its own');
  },
);

test(
  'a request that was carried out is not called a failure when its answer cannot be read',
  limited,
  async (context) => {
    const { url } = await listen(context, json({ odd: true }));
    const made = 'The request was carried out; only its answer could not be read.';
    await assert.rejects(clientOf([url]).call(accountOperations.create, { body: { name: 'ada' } }), (error: Error) => {
      assert.equal((error as AnsweredError).code, 'ERR_ADMIN_ANSWER');
      assert.ok(error.message.endsWith(made), error.message);
      return true;
    });
    await assert.rejects(
      clientOf([url]).call(groupOperations.list, {}),
      (error: Error) => !error.message.includes(made),
    );
  },
);

test('an answer that does not come in time is given up, and one that nobody waits for', limited, async (context) => {
  const { url } = await listen(context, () => undefined);
  await assert.rejects(clientOf([url], { timeoutMs: 50 }).call(groupOperations.list, {}), {
    code: 'ERR_ADMIN_UNREACHABLE',
    message: /did not answer within 0\.05 s.*Try again/,
  });
  const reason = new Error('stopped');
  const stopped = clientOf([url], { signal: AbortSignal.abort(reason) });
  await assert.rejects(stopped.call(groupOperations.list, {}), reason);
});

/** Answers the question before a stream, and nothing else. */
const deaf: Handler = (request, ...rest) => {
  if (request.url?.startsWith(`/api/v1${deliveryOperations.showBudget.path}`)) json({})(request, ...rest);
};
const unreachable = (message: RegExp) => ({ code: 'ERR_ADMIN_UNREACHABLE', message });

test('a stream that a service does not take, or does not answer, is given up', limited, async (context) => {
  const { url } = await listen(context, deaf);
  const client = clientOf([url], { silenceMs: 50 });
  const short = new Blob(['{"name":"ada"}\n']).stream();
  await assert.rejects(
    client.upload(accountOperations.import, short),
    unreachable(/ within 0\.05 s.* It is unknown whether the request was carried out/),
  );
  const server = createServer((request, response) => {
    if (request.method === 'GET') deaf(request, response, '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const unread = clientOf([`http://127.0.0.1:${(server.address() as AddressInfo).port}`], { silenceMs: 50 });
  const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });
  await assert.rejects(unread.upload(accountOperations.import, endless), unreachable(/took nothing within 0\.05 s/));
});

test('a stream that does not begin, or stands still, is given up', limited, async (context) => {
  const { url } = await listen(context, deaf);
  const patient = clientOf([url], { timeoutMs: 50 });
  const query = { after: 0 };
  await assert.rejects(
    patient.download(auditOperations.export, { query }),
    unreachable(/did not answer within 0\.05 s/),
  );
  await assert.rejects(
    patient.follow(domainOperations.listEvents, {}, null),
    unreachable(/did not answer within 0\.05 s.*Try again/),
  );
  const halting = await listen(context, (_request, response) => void response.write('{"one":1}\n'));
  const lines = await clientOf([halting.url], { silenceMs: 50 }).download(auditOperations.export, { query });
  await assert.rejects(new Response(lines).text(), unreachable(/sent nothing more within 0\.05 s/));
});

test('what a service takes later is sent again: questions, and changes with the same key', limited, async (context) => {
  const keys: unknown[] = [];
  const asked: string[] = [];
  const { url } = await listen(context, (request, response, body) => {
    asked.push(`${request.method}`);
    keys.push(request.headers['idempotency-key']);
    if (asked.length % 3 === 0) return json(account)(request, response, body);
    response.setHeader('retry-after', '0');
    json({ code: 'ERR_RATE_LIMIT', message: 'too many', details: {} }, 429)(request, response, body);
  });
  const rests: number[] = [];
  const client = clientOf([url], { limitedMs: 60_000, onLimited: (restMs) => rests.push(restMs) });
  await client.call(accountOperations.show, { params: { name: 'ada' } });
  await client.call(accountOperations.create, { body: { name: 'ada' } });
  assert.deepEqual(asked, ['GET', 'GET', 'GET', 'POST', 'POST', 'POST']);
  assert.deepEqual([rests.length, new Set(keys.slice(3)).size], [4, 1]);
  assert.equal(typeof keys[3], 'string');
  // No service keeps a key of a password: what is without one is not sent again.
  const body = { name: 'ada', password: 'x' };
  await assert.rejects(client.call(signInOperations.password, { body }), { code: 'ERR_RATE_LIMIT', status: 429 });
  assert.deepEqual([asked.length, keys[6]], [7, undefined]);
});

test('nobody waits longer for a service that is asked too often than he said', limited, async (context) => {
  const { url, asked } = await listen(context, (request, response, body) => {
    response.setHeader('retry-after', '61');
    json({ code: 'ERR_RATE_LIMIT', message: 'too many', details: {} }, 429)(request, response, body);
  });
  for (const limitedMs of [60_000, undefined]) {
    const client = clientOf([url], limitedMs === undefined ? {} : { limitedMs });
    await assert.rejects(client.call(groupOperations.list, {}), { code: 'ERR_RATE_LIMIT', retryAfterMs: 61_000 });
  }
  assert.equal(asked.length, 2);
});

test(
  'a stream is sent once, to the service that takes it, and another one is handed on as it comes',
  limited,
  async (context) => {
    const coordinator = await listen(context, fenced);
    const bodies: string[] = [];
    const service = await listen(context, (request, response, body) => {
      if (request.method === 'POST') bodies.push(`${request.headers['content-type']} ${body}`);
      if (request.url?.startsWith('/api/v1/audit/export')) response.end('{"one":1}\n{"two":2}\n');
      else json({ created: 1, skipped: [] })(request, response, body);
    });
    const client = clientOf([coordinator.url, service.url]);
    const lines = ReadableStream.from([new TextEncoder().encode('{"name":"ada"}\n')]);
    assert.deepEqual(await client.upload(accountOperations.import, lines), { created: 1, skipped: [] });
    assert.deepEqual(bodies, ['application/x-ndjson {"name":"ada"}\n']);
    assert.deepEqual(coordinator.asked, [`GET /api/v1${deliveryOperations.showBudget.path}`]);
    const exported = await client.download(auditOperations.export, { query: { after: 3 } });
    assert.equal(await new Response(exported).text(), '{"one":1}\n{"two":2}\n');
    assert.equal(service.asked.at(-1), 'GET /api/v1/audit/export?after=3');
  },
);

test('nobody is followed elsewhere, whoever answers so', limited, async (context) => {
  const elsewhere = await listen(context, json(account));
  const { url } = await listen(context, (_request, response) => {
    response.writeHead(307, { location: `${elsewhere.url}/api/v1/accounts` }).end();
  });
  const asked = clientOf([url]).call(accountOperations.create, { body: { name: 'ada' } });
  await assert.rejects(asked, { code: 'ERR_ADMIN_UNREACHABLE' });
  assert.deepEqual(elsewhere.asked, []);
});
