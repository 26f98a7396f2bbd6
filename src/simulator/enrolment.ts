/**
 * From an activation password to a managed device: enrolment profile, SCEP, Authenticate, TokenUpdate. Every step that
 * is safe to repeat is repeated until it succeeds; asking for the certificate again uses the same key and transaction.
 */
import { messageOf } from '../base/errors.ts';
import { serializeCheckin } from '../protocol/apple/checkin.ts';
import { type ParsedEnrollmentProfile, parseEnrollmentProfile } from '../protocol/apple/enrollment-profile.ts';
import { scepContentType } from '../protocol/scep/attributes.ts';
import { buildPkcsReq, parseCertRep, registrationCertificateIn } from '../protocol/scep/client-message.ts';
import type { DeviceHttp, HttpRequest } from './device-http.ts';
import {
  createDeviceLink,
  type DeviceIdentity,
  type DeviceLink,
  type LinkOutcome,
  sendJournalled,
} from './device-link.ts';
import type { DevicePlan } from './fleet-plan.ts';
import type { JournalEvent, RequestKind } from './journal.ts';
import type { PooledKeyPair } from './key-pool.ts';
import { pemOf } from './loopback-certificate.ts';

interface EnrolmentSurroundings {
  readonly plan: DevicePlan;
  readonly account: string;
  readonly publicUrl: URL;
  /** Trusted before the enrolment profile brings roots; without one the first contact is not verified. */
  readonly caPem: string | undefined;
  readonly http: DeviceHttp;
  readonly keyPair: PooledKeyPair;
  journal(event: JournalEvent): void;
  /** Waits before the given retry (0 is the first). @returns false when the device was stopped: give up */
  pause(attempt: number): Promise<boolean>;
}

type CertificateSurroundings = Pick<EnrolmentSurroundings, 'http' | 'journal' | 'keyPair' | 'pause'>;

export type EnrolmentOutcome =
  | {
      readonly kind: 'enrolled';
      readonly facts: ParsedEnrollmentProfile;
      readonly identity: DeviceIdentity;
      readonly link: DeviceLink;
      readonly rootsPem: readonly string[];
    }
  /** The activation password was refused, or no certificate was issued. */
  | { readonly kind: 'refused'; readonly httpStatus: number; readonly code?: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** Maximum attempts at an ambiguous activation: each may use one of the password's tries. */
const activationAttempts = 4;

export async function enrol(password: string, around: EnrolmentSurroundings): Promise<EnrolmentOutcome> {
  const { plan, http, journal, keyPair } = around;
  const activation = await requestProfile(password, around);
  if (activation.kind !== 'profile') return activation;
  const { facts } = activation;
  journal({ event: 'activated' });

  const rootsPem = [
    ...(around.caPem === undefined ? [] : [around.caPem]),
    ...facts.authorityCertificatesDer.map(pemOf),
  ];
  http.setTrust({ rootsPem });
  const certificate = await requestCertificate(facts, around);
  if (certificate.kind !== 'certificate') return certificate;
  const identity: DeviceIdentity = {
    key: keyPair.privateKey,
    keyPem: keyPair.privateKeyPem,
    certificateDer: certificate.certificateDer,
  };
  http.setTrust({
    rootsPem,
    identity: { certificatePem: pemOf(certificate.certificateDer), keyPem: keyPair.privateKeyPem },
  });

  const addresses = { checkInUrl: new URL(facts.checkInUrl), serverUrl: new URL(facts.serverUrl) };
  const link = createDeviceLink(http, addresses, identity, journal);
  const authenticated = await untilAccepted(around, () =>
    link.checkIn('authenticate', authenticateBody(plan, facts.topic)),
  );
  if (authenticated.kind !== 'replied') return outcomeOf(authenticated);
  const updated = await untilAccepted(around, () =>
    link.checkIn('token-update', tokenUpdateBody(plan, facts.topic, plan.pushToken, plan.pushMagic)),
  );
  if (updated.kind !== 'replied') return outcomeOf(updated);
  journal({ event: 'enrolled' });
  return { kind: 'enrolled', facts, identity, link, rootsPem };
}

/** @see Apple "Authenticate"; agent devices add AgentVersion and DeviceSoftware. */
export function authenticateBody(plan: DevicePlan, topic: string): Buffer {
  const { kind } = plan;
  return serializeCheckin('Authenticate', {
    UDID: plan.udid,
    Topic: topic,
    SerialNumber: plan.serialNumber,
    DeviceName: String(plan.options['DeviceName'] ?? kind.modelName),
    Model: kind.product,
    ModelName: kind.modelName,
    ProductName: kind.product,
    OSVersion: kind.osVersion,
    BuildVersion: kind.buildVersion,
    ...(kind.agentVersion === undefined ? {} : { AgentVersion: kind.agentVersion }),
    ...(kind.deviceSoftware === undefined ? {} : { DeviceSoftware: kind.deviceSoftware }),
  });
}

export function tokenUpdateBody(plan: DevicePlan, topic: string, token: Buffer, magic: string): Buffer {
  return serializeCheckin('TokenUpdate', {
    UDID: plan.udid,
    Topic: topic,
    Token: token,
    PushMagic: magic,
    AwaitingConfiguration: false,
  });
}

export function checkOutBody(plan: DevicePlan, topic: string): Buffer {
  return serializeCheckin('CheckOut', { UDID: plan.udid, Topic: topic });
}

type Stopped = Exclude<EnrolmentOutcome, { kind: 'enrolled' }>;
const stopped: Stopped = { kind: 'failed', reason: 'the device was stopped' };

async function requestProfile(
  password: string,
  around: EnrolmentSurroundings,
): Promise<{ kind: 'profile'; facts: ParsedEnrollmentProfile } | Stopped> {
  const { plan, account, http, journal } = around;
  // Some administrators hand out signed profiles, some plain ones: the fleet takes both.
  const form = new URLSearchParams({
    account,
    password,
    platform: plan.kind.platform,
    signed: Number.parseInt(plan.serialNumber.slice(-1), 16) % 2 === 0 ? '1' : '0',
  });
  const request: HttpRequest = {
    method: 'POST',
    url: new URL('/activate', around.publicUrl),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(form.toString()),
    unverified: around.caPem === undefined,
  };
  for (let attempt = 0; attempt < activationAttempts; attempt += 1) {
    if (attempt > 0 && !(await around.pause(attempt - 1))) return stopped;
    const outcome = await sendJournalled(http, 'activate', request, journal);
    if (outcome.kind === 'replied') {
      try {
        return { kind: 'profile', facts: parseEnrollmentProfile(outcome.body) };
      } catch (error) {
        journal({ event: 'trouble', message: messageOf(error) });
        return { kind: 'failed', reason: messageOf(error) };
      }
    }
    const httpStatus = outcome.kind === 'unenrolled' ? 401 : outcome.httpStatus;
    if (httpStatus !== undefined && httpStatus < 500) {
      const code = outcome.kind === 'failed' ? codeIn(outcome.body) : undefined;
      const refusal = { httpStatus, ...(code === undefined ? {} : { code }) };
      journal({ event: 'activation-refused', ...refusal });
      return { kind: 'refused', ...refusal };
    }
  }
  return { kind: 'failed', reason: `no answer to ${activationAttempts} activation requests` };
}

/** @see RFC 8894 §3.5, §4.1 to §4.3 */
export async function requestCertificate(
  facts: ParsedEnrollmentProfile,
  around: CertificateSurroundings,
): Promise<{ kind: 'certificate'; certificateDer: Uint8Array } | Stopped> {
  const { http, journal, keyPair } = around;
  const ask = (kind: RequestKind, operation: string, body?: Buffer): Promise<LinkOutcome> => {
    const url = new URL(facts.scepUrl);
    url.searchParams.set('operation', operation);
    const post = { body, headers: { 'content-type': scepContentType.message } };
    return untilAccepted(around, () =>
      sendJournalled(
        http,
        kind,
        body === undefined ? { method: 'GET', url } : { method: 'POST', url, ...post, body },
        journal,
      ),
    );
  };
  const capabilities = await ask('scep-capabilities', 'GetCACaps');
  if (capabilities.kind !== 'replied') return outcomeOf(capabilities);
  if (!/^(POSTPKIOperation|SCEPStandard)\s*$/m.test(capabilities.body.toString('latin1'))) {
    return { kind: 'failed', reason: 'the SCEP server does not accept POST' };
  }
  const authority = await ask('scep-certificate', 'GetCACert');
  if (authority.kind !== 'replied') return outcomeOf(authority);
  try {
    const raCertificateDer = registrationCertificateIn(authority.contentType, authority.body);
    const request = buildPkcsReq({
      key: keyPair.privateKey,
      subject: facts.subject,
      ...(facts.challenge === undefined ? {} : { challengePassword: facts.challenge }),
      raCertificateDer,
    });
    const issued = await ask('scep-enrol', 'PKIOperation', request.der);
    if (issued.kind !== 'replied') return outcomeOf(issued);
    const answer = parseCertRep(issued.body, request, raCertificateDer);
    if (answer.status === 'success') return { kind: 'certificate', certificateDer: answer.certificateDer };
    const code = answer.status === 'failure' ? (answer.failInfo ?? 'failure') : 'pending';
    journal({ event: 'trouble', message: `SCEP: ${code}` });
    return { kind: 'refused', httpStatus: 200, code };
  } catch (error) {
    journal({ event: 'trouble', message: `SCEP: ${messageOf(error)}` });
    return { kind: 'failed', reason: messageOf(error) };
  }
}

/** Retries temporary failures: no reply, or a status of 500 and above. */
export async function untilAccepted(
  around: Pick<EnrolmentSurroundings, 'pause'>,
  send: () => Promise<LinkOutcome>,
): Promise<LinkOutcome> {
  for (let attempt = 0; ; attempt += 1) {
    const outcome = await send();
    if (outcome.kind !== 'failed' || (outcome.httpStatus !== undefined && outcome.httpStatus < 500)) return outcome;
    if (!(await around.pause(attempt))) return outcome;
  }
}

function outcomeOf(outcome: Exclude<LinkOutcome, { kind: 'replied' }> | LinkOutcome): Stopped {
  if (outcome.kind === 'unenrolled') return { kind: 'refused', httpStatus: 401 };
  if (outcome.kind === 'failed' && outcome.httpStatus !== undefined) {
    const code = codeIn(outcome.body);
    return { kind: 'refused', httpStatus: outcome.httpStatus, ...(code === undefined ? {} : { code }) };
  }
  return stopped;
}

function codeIn(body: Buffer): string | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    const code = typeof value === 'object' && value !== null && 'code' in value ? value.code : undefined;
    return typeof code === 'string' ? code : undefined;
  } catch {
    // Not every refusal is JSON; then the status has to suffice.
    return undefined;
  }
}
