/** Invitations and what a joining host and an administration service say to each other: whole, damaged, and somebody else's. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createEcKeyPair, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { type Invitation, invitationText, readInvitation } from './invitation.ts';
import {
  isProven,
  type JoinAnswer,
  type JoinRequest,
  newAnswerKeys,
  newSecret,
  openAnswer,
  proofOf,
  sealAnswer,
} from './join-messages.ts';

const refused = { code: 'ERR_HOST_INVITATION' };
const invitation: Invitation = {
  ...{ id: randomUUID(), host: 'berlin', domain: { id: randomUUID(), name: 'Example' }, secret: newSecret() },
  ...{ databaseUrl: 'postgres://join:pw@db.example/bramble', authority: 'a'.repeat(64) },
  expiresAt: new Date(0).toISOString(),
};

async function newRequest(): Promise<{ request: JoinRequest; keys: ReturnType<typeof newAnswerKeys> }> {
  const keys = newAnswerKeys();
  const base64 = (key: Parameters<typeof spkiDerOf>[0]) => spkiDerOf(key).toString('base64');
  const publicKey = base64((await createEcKeyPair()).publicKey);
  const request = { invitation: invitation.id, host: 'berlin', publicKey, answerKey: base64(keys.publicKey) };
  return { request, keys };
}

const answer: JoinAnswer = {
  masterKeys: { current: 'k1', keys: { k1: Buffer.alloc(32, 1).toString('base64') } },
  roles: { supervisor: { user: 'b_supervisor', password: 'pw' } },
  ...{ databaseUrl: 'postgres://db.example/bramble', domainAuthorityPem: 'pem', release: '1.4.0' },
  ...{ publicPort: 8443, srpPort: 3101, signer: { fingerprint: null, unsigned: [], refused: [] } },
};

test('an invitation is one line, and is read back with spaces and line breaks around it', () => {
  const text = invitationText(invitation);
  assert.doesNotMatch(text, /\s/);
  assert.deepEqual(readInvitation(`  ${text}\n`), invitation);
});

test('anything but a whole invitation is refused and says why', () => {
  const text = invitationText(invitation);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: text.length - 1 }), (length) => {
      assert.throws(() => readInvitation(text.slice(0, length)), refused);
    }),
  );
  assert.throws(() => readInvitation(text.replace('-1.', '-2.')), /does not begin like one/);
  assert.throws(() => readInvitation(`${text}${'A'.repeat(10_000)}`), refused);
  const other = Buffer.from('{"id": 1}').toString('base64url');
  assert.throws(() => readInvitation(`bramble-invitation-1.${other}`), /other contents/);
});

test('the answer is for the request’s key and the invitation’s secret alone, and any change of it is noticed', async () => {
  const { request, keys } = await newRequest();
  const sealed = sealAnswer(invitation.secret, request, answer);
  assert.deepEqual(openAnswer(invitation.secret, invitation.id, keys.privateKey, sealed), answer);
  assert.throws(() => openAnswer(newSecret(), invitation.id, keys.privateKey, sealed), refused);
  assert.throws(() => openAnswer(invitation.secret, randomUUID(), keys.privateKey, sealed), refused);
  assert.throws(() => openAnswer(invitation.secret, invitation.id, newAnswerKeys().privateKey, sealed), refused);
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.throws(() => openAnswer(invitation.secret, invitation.id, keys.privateKey, changed), refused, `octet ${at}`);
  }
  const ecKey = { ...request, answerKey: request.publicKey };
  assert.throws(() => sealAnswer(invitation.secret, ecKey, answer), refused);
});

test('a request is proven by the secret, over every octet of its text', () => {
  const text = JSON.stringify({ host: 'berlin' });
  const proof = proofOf(invitation.secret, text);
  assert.equal(isProven(invitation.secret, text, proof), true);
  for (const [secret, request, given] of [
    [newSecret(), text, proof],
    [invitation.secret, `${text} `, proof],
    [invitation.secret, text, proof.slice(1)],
    [invitation.secret, text, ''],
  ] as const) {
    assert.equal(isProven(secret, request, given), false);
  }
});
