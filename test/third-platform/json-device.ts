/** A device of the JSON platform, behind a router. */
import assert from 'node:assert/strict';
import { type KeyObject, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ask, type Stage } from '../../src/processes/router/router-fixture.ts';
import { createEcKeyPair, spkiDerOf } from '../../src/protocol/x509/key-pair.ts';

export type JsonDevice = Awaited<ReturnType<typeof enrolJsonDevice>>;

/** Exchanges name and password for an enrolment, gets an identity, and tells how it is woken. */
export async function enrolJsonDevice(stage: Stage, account: { readonly name: string; readonly password: string }) {
  const wakes: string[] = [];
  const listener = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => wakes.push(chunk.toString())).on('end', () => response.end());
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const post = async (path: string, body: object) => {
    const answer = await ask(stage, path, { method: 'POST', body: JSON.stringify(body) });
    assert.equal(answer.status, 200, answer.body);
    return JSON.parse(answer.body) as Record<string, string>;
  };
  const { token, challenge } = await post('/json/enrol', { account: account.name, password: account.password });
  const { privateKey, publicKey } = await createEcKeyPair();
  const asked = { challenge, key: spkiDerOf(publicKey).toString('base64'), attempt: '1' };
  const { certificate = '' } = await post(`/json/${token}/identity`, asked);
  const name = `json-${account.name}`;
  const say = (place: 'self' | 'work', message: object, by = privateKey) =>
    sendSigned(stage, `/json/${token}/${place}`, { name, ...message }, { certificate, key: by });
  const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
  assert.equal((await say('self', { says: 'here I am', model: 'tablet' })).status, 200);
  assert.equal((await say('self', { says: 'wake me', url, secret: 'the secret' })).status, 200);
  return {
    ...{ token: token ?? '', name, say, wakes },
    /** Fetches what waits and answers that it is done, until there is nothing more; what it was told to do. */
    async work() {
      const told: { do: string; rules?: Record<string, unknown> }[] = [];
      let answer = await say('work', { status: 'idle' });
      for (; answer.status === 200 && answer.body !== ''; ) {
        const order = JSON.parse(answer.body) as (typeof told)[number] & { id: string };
        told.push(order);
        answer = await say('work', { status: 'done', id: order.id });
      }
      assert.equal(answer.status, 200, answer.body);
      return told;
    },
    close: () => listener.close(),
  };
}

async function sendSigned(
  stage: Stage,
  path: string,
  message: object,
  { certificate, key }: { readonly certificate: string; readonly key: KeyObject },
) {
  const body = Buffer.from(JSON.stringify(message));
  const signature = sign('sha256', body, key).toString('base64');
  return await ask(stage, path, { body, headers: { 'json-certificate': certificate, 'json-signature': signature } });
}
