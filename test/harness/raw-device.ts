/** A device taken apart: it enrols as real ones do, and then sends whatever a test wants it to send, over TLS. */
import { randomUUID, X509Certificate } from 'node:crypto';
import { Agent, request as httpsRequest } from 'node:https';
import { accountOperations } from '../../src/api/accounts.ts';
import { serializeCheckin } from '../../src/protocol/apple/checkin.ts';
import { serializeConnect } from '../../src/protocol/apple/connect.ts';
import { appleContentType } from '../../src/protocol/apple/content-type.ts';
import { type ParsedEnrollmentProfile, parseEnrollmentProfile } from '../../src/protocol/apple/enrollment-profile.ts';
import { signDetached } from '../../src/protocol/cms/signing.ts';
import { scepContentType } from '../../src/protocol/scep/attributes.ts';
import { buildPkcsReq, parseCertRep, registrationCertificateIn } from '../../src/protocol/scep/client-message.ts';
import { createRsaKeyPair, type KeyPair, privateKeyPemOf } from '../../src/protocol/x509/key-pair.ts';
import type { RunningDomain } from './domain.ts';

export interface RawRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: Buffer | string;
  /** Shown in TLS. */
  identity?: RawIdentity;
}

export interface RawAnswer {
  status: number;
  body: Buffer;
  /** Of the JSON body; undefined where it is none. */
  code: string | undefined;
  contentType?: string;
}

export interface RawIdentity {
  keyPair: KeyPair;
  certificateDer: Uint8Array;
}

/** One request over its own connection, without verifying the server's certificate. */
export function sendRaw(url: string, request: RawRequest = {}): Promise<RawAnswer> {
  const { method = 'PUT', headers = {}, body, identity } = request;
  const agent = new Agent({ keepAlive: false });
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(url, {
      method,
      headers,
      agent,
      rejectUnauthorized: false,
      ...(identity === undefined
        ? {}
        : {
            cert: new X509Certificate(identity.certificateDer).toString(),
            key: privateKeyPemOf(identity.keyPair.privateKey),
          }),
    });
    outgoing.setTimeout(20_000, () => outgoing.destroy(new Error('no answer in time')));
    let answered = false;
    outgoing.on('response', (response) => {
      answered = true;
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const whole = Buffer.concat(chunks);
        const contentType = response.headers['content-type'] ?? '';
        resolve({ status: response.statusCode ?? 0, body: whole, code: codeIn(whole), contentType });
      });
    });
    // The connection may break after the answer if a body is refused before it was read completely.
    outgoing.on('error', (error) => {
      if (!answered) reject(error);
    });
    outgoing.end(body);
  });
}

function codeIn(body: Buffer): string | undefined {
  try {
    const { code } = JSON.parse(body.toString('utf8')) as { code?: unknown };
    return typeof code === 'string' ? code : undefined;
  } catch {
    return undefined;
  }
}

/** Asks for an enrolment profile with an account's activation password. */
export function askActivation(domain: RunningDomain, account: string, password: string): Promise<RawAnswer> {
  return sendRaw(`${domain.publicUrl}/activate`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ account, password, platform: 'apple' }).toString(),
  });
}

/** A fresh activation password by REST. */
export async function newPassword(domain: RunningDomain, account: string): Promise<string> {
  const request = { params: { name: account } };
  return (await domain.api.call(accountOperations.setActivationPassword, request)).password;
}

export interface RawDevice extends RawIdentity {
  udid: string;
  facts: ParsedEnrollmentProfile;
  /** Sends a body with its signature, as a good device does. */
  connect(body: Buffer | string, headers?: Record<string, string>): Promise<RawAnswer>;
  checkIn(body: Buffer | string): Promise<RawAnswer>;
  idle(): Promise<RawAnswer>;
}

/** Asks for a certificate under this SCEP address. */
export async function askCertificate(
  scepUrl: string,
  options: { keyPair: KeyPair; challenge: string | undefined },
): Promise<{ answer: RawAnswer; certificateDer: Uint8Array | undefined; der: Buffer }> {
  const authority = await sendRaw(`${scepUrl}?operation=GetCACert`, { method: 'GET' });
  const raCertificateDer = registrationCertificateIn(authority.contentType ?? '', authority.body);
  const request = buildPkcsReq({
    key: options.keyPair.privateKey,
    subject: { commonName: 'a device' },
    ...(options.challenge === undefined ? {} : { challengePassword: options.challenge }),
    raCertificateDer,
  });
  const answer = await sendRaw(`${scepUrl}?operation=PKIOperation`, {
    method: 'POST',
    headers: { 'content-type': scepContentType.message },
    body: request.der,
  });
  const parsed = answer.status === 200 ? parseCertRep(answer.body, request, raCertificateDer) : undefined;
  return {
    answer,
    der: request.der,
    certificateDer: parsed?.status === 'success' ? parsed.certificateDer : undefined,
  };
}

/** Brings a device of the account under management. */
export async function enrolDevice(domain: RunningDomain, account: string): Promise<RawDevice> {
  const profile = await askActivation(domain, account, await newPassword(domain, account));
  const facts = parseEnrollmentProfile(profile.body);
  const keyPair = await createRsaKeyPair();
  const { certificateDer } = await askCertificate(facts.scepUrl, { keyPair, challenge: facts.challenge });
  if (certificateDer === undefined) throw new Error('no identity was issued');
  const udid = randomUUID();
  const signed = (url: string, contentType: string, body: Buffer, headers: Record<string, string> = {}) =>
    sendRaw(url, {
      headers: {
        'content-type': contentType,
        'mdm-signature': signDetached({ key: keyPair.privateKey, certificateDer, body }),
        ...headers,
      },
      body,
    });
  const device: RawDevice = {
    udid,
    facts,
    keyPair,
    certificateDer,
    connect: (body, headers) => signed(facts.serverUrl, appleContentType.connect, Buffer.from(body), headers),
    checkIn: (body) => signed(facts.checkInUrl, appleContentType.checkin, Buffer.from(body)),
    idle: () => device.connect(serializeConnect({ status: 'Idle', udid })),
  };
  const { topic } = facts;
  const messages = [
    serializeCheckin('Authenticate', { UDID: udid, Topic: topic, OSVersion: '18.1', ProductName: 'iPhone17,1' }),
    serializeCheckin('TokenUpdate', { UDID: udid, Topic: topic, Token: Buffer.alloc(32, 7), PushMagic: udid }),
  ];
  for (const message of messages) {
    const answer = await device.checkIn(message);
    if (answer.status !== 200) throw new Error(`check-in answered ${answer.status} ${answer.code}`);
  }
  return device;
}
