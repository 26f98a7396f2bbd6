/** For tests of SCEP: a service of an instance, and what devices ask of it. */
import assert from 'node:assert/strict';
import { buildPkcsReq, type PendingRequest, parseCertRep } from '../protocol/scep/client-message.ts';
import { createRsaKeyPair, type KeyPair } from '../protocol/x509/key-pair.ts';
import { createActivationFixture } from './activation-fixture.ts';
import { createScepService } from './scep-service.ts';

export interface Renewal {
  readonly key: KeyPair['privateKey'];
  readonly certificateDer: Uint8Array;
}

/** With the services' dependence on what is active, and three keys of devices. */
export async function createScepFixture(url: string) {
  const [fixture, first, second, third] = await Promise.all([
    createActivationFixture(url),
    createRsaKeyPair(),
    createRsaKeyPair(),
    createRsaKeyPair(),
  ]);
  /** Whether the upgrade is finalized. */
  const upgrade = { isFinalized: true };
  const serviceOptions = {
    db: fixture.db,
    instanceId: fixture.here.id,
    authorities: async () => fixture.authorities,
    registrationActive: async () => upgrade.isFinalized,
    renewalActive: async () => false,
  };
  const scep = createScepService(serviceOptions);
  const ra: Uint8Array = fixture.authorities.registration.certificateDer;

  function requestFor(keys: KeyPair, challengePassword: string, renew?: Renewal, raCertificateDer = ra) {
    return buildPkcsReq({
      key: keys.privateKey,
      subject: { commonName: 'device' },
      raCertificateDer,
      ...(challengePassword === '' ? {} : { challengePassword }),
      ...(renew === undefined ? {} : { renew }),
    });
  }

  function send(token: string, request: PendingRequest) {
    return scep.handleScep({ operation: 'PKIOperation', token, message: request.der });
  }

  async function answerTo(token: string, request: PendingRequest, raCertificateDer = ra) {
    const outcome = await send(token, request);
    assert.ok(outcome.kind === 'answer', outcome.kind);
    assert.equal(outcome.contentType, 'application/x-pki-message');
    return { rep: parseCertRep(outcome.body, request, raCertificateDer), refusal: outcome.refusal };
  }

  async function certificateFor(token: string, request: PendingRequest): Promise<Uint8Array> {
    const { rep, refusal } = await answerTo(token, request);
    if (rep.status !== 'success') assert.fail(refusal ?? rep.status);
    return rep.certificateDer;
  }

  async function refusalOf(token: string, request: PendingRequest) {
    const { rep, refusal } = await answerTo(token, request);
    assert.deepEqual(rep, { status: 'failure', failInfo: 'badRequest' });
    return refusal;
  }

  async function stored(deviceId: string) {
    const [row] = await fixture.db<{ state: string; fingerprint: string | null; expires: Date | null }[]>`
      select state, identity_fingerprint as fingerprint, identity_expires_at as expires from device where id = ${deviceId}`;
    return row;
  }

  const helpers = { requestFor, send, answerTo, certificateFor, refusalOf, stored };
  return { fixture, scep, serviceOptions, upgrade, ra, keys: [first, second, third] as const, ...helpers };
}
