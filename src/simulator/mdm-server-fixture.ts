/**
 * For tests: a small MDM server over real HTTPS, built only on the protocol library. It enrols anybody who knows the
 * password, hands out what is queued, keeps every answer, and can be told to fail.
 */
import { createPrivateKey } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type CheckinMessage, parseCheckin } from '../protocol/apple/checkin.ts';
import { type Command, serializeCommand } from '../protocol/apple/command.ts';
import { type ConnectAnswer, parseConnect } from '../protocol/apple/connect.ts';
import { appleContentType } from '../protocol/apple/content-type.ts';
import { buildEnrollmentProfile } from '../protocol/apple/enrollment-profile.ts';
import { signAttached } from '../protocol/cms/signing.ts';
import { verifyDetached } from '../protocol/cms/verification.ts';
import { scepCapabilities, scepContentType } from '../protocol/scep/attributes.ts';
import { buildCertRep, parsePkiMessage, type RegistrationAuthority } from '../protocol/scep/server-message.ts';
import { type Authority, createAuthority, issueCertificate, randomSerialHex } from '../protocol/x509/certificate.ts';
import { fingerprintOf } from '../protocol/x509/certificate-fields.ts';
import { createRsaKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { pemOf } from './loopback-certificate.ts';

export const testPassword = 'correct horse';
export const testTopic = 'com.apple.mgmt.External.test';

/** What the fixture knows of one device. */
export interface EnrolledDevice {
  readonly token: string;
  readonly form: URLSearchParams;
  identityFingerprint?: string;
  issued: number;
  readonly transactions: string[];
  readonly checkins: CheckinMessage[];
  readonly answers: ConnectAnswer[];
  readonly queue: Command[];
  /** Handed out and not answered; handed out again at the next Idle. */
  outstanding?: Command;
}

/** How one future request fails. `lost`: it is processed, and then the connection is cut. */
type Fault = 'lost' | '503' | '400' | '401';
type FaultyPath = 'activate' | 'scep' | 'checkin' | 'connect';

export interface MdmServerFixture {
  readonly url: string;
  readonly caPem: string;
  readonly devices: EnrolledDevice[];
  /** How the next requests to that path end. */
  fail(path: FaultyPath, ...faults: Fault[]): void;
  /** Called for every connect answer. */
  onAnswer(listener: (device: EnrolledDevice, answer: ConnectAnswer) => void): void;
  close(): Promise<void>;
}

export async function startMdmServer(): Promise<MdmServerFixture> {
  const [authority, registrationKeys] = await Promise.all([
    createAuthority({ commonName: 'Test authority', algorithm: 'RSA-2048', days: 1 }),
    createRsaKeyPair(),
  ]);
  const issue = (spkiDer: Uint8Array, commonName: string, usage: 'server' | 'registration' | 'client'): Buffer =>
    issueCertificate({
      authority,
      publicKey: { spkiDer },
      subject: { commonName },
      days: 1,
      serialHex: randomSerialHex(),
      usage,
      ...(usage === 'server' ? { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] } : {}),
    });
  const spkiDer = spkiDerOf(registrationKeys.publicKey);
  const certificate = issue(spkiDer, 'localhost', 'server');
  const server = createServer({
    key: privateKeyPemOf(registrationKeys.privateKey),
    cert: pemOf(certificate),
    ca: pemOf(authority.certificateDer),
    requestCert: true,
    rejectUnauthorized: false,
  });
  const state: FixtureState = {
    authority,
    registration: { raKey: registrationKeys.privateKey, raCertificate: issue(spkiDer, 'registration', 'registration') },
    devices: [],
    faults: { activate: [], scep: [], checkin: [], connect: [] },
    listeners: [],
    issueIdentity: (csrKey) => issue(csrKey, 'device', 'client'),
    url: '',
  };
  server.on('request', (request, response) => void handle(state, request, response));
  await listen(server);
  state.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: state.url,
    caPem: pemOf(authority.certificateDer),
    devices: state.devices,
    fail: (path, ...faults) => state.faults[path].push(...faults),
    onAnswer: (listener) => state.listeners.push(listener),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface FixtureState {
  readonly authority: Authority;
  readonly registration: RegistrationAuthority;
  readonly devices: EnrolledDevice[];
  readonly faults: Record<FaultyPath, Fault[]>;
  readonly listeners: ((device: EnrolledDevice, answer: ConnectAnswer) => void)[];
  issueIdentity(spkiDer: Uint8Array): Buffer;
  url: string;
}

async function handle(state: FixtureState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const url = new URL(request.url ?? '/', state.url);
  const [, first, token, last] = url.pathname.split('/');
  const path: FaultyPath =
    first === 'activate' || first === 'scep' ? first : last === 'checkin' ? 'checkin' : 'connect';
  // Only the request for a certificate fails, not the questions before it.
  const fault = path === 'scep' && request.method === 'GET' ? undefined : state.faults[path].shift();
  if (fault !== undefined && fault !== 'lost')
    return reply(response, Number(fault), 'application/json', '{"code":"ERR_TEST"}');
  const device = state.devices.find((candidate) => candidate.token === token);
  let answer: [status: number, type: string, body: Buffer | string];
  if (path === 'activate') answer = activate(state, new URLSearchParams(body.toString()));
  else if (device === undefined) answer = [400, 'application/json', '{"code":"ERR_UNKNOWN_TOKEN"}'];
  else if (path === 'scep') answer = await scep(state, device, url.searchParams.get('operation'), body);
  else
    answer = identified(device, request, body) ? managed(state, device, path, body) : [400, 'text/plain', 'identity'];
  if (fault === 'lost') request.socket.destroy();
  else reply(response, ...answer);
}

function reply(response: ServerResponse, status: number, type: string, body: Buffer | string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

type Answer = [status: number, type: string, body: Buffer | string];

function activate(state: FixtureState, form: URLSearchParams): Answer {
  if (form.get('password') !== testPassword) return [400, 'application/json', '{"code":"ERR_ACTIVATION_REFUSED"}'];
  const token = `token-${state.devices.length + 1}`;
  state.devices.push({ token, form, issued: 0, transactions: [], checkins: [], answers: [], queue: [] });
  const profile = buildEnrollmentProfile({
    organization: 'Test',
    identifierPrefix: 'test.bramble',
    seed: token,
    checkInUrl: `${state.url}/mdm/${token}/checkin`,
    serverUrl: `${state.url}/mdm/${token}/connect`,
    scepUrl: `${state.url}/scep/${token}`,
    challenge: `challenge-${token}`,
    subject: { commonName: token },
    topic: testTopic,
    authorityCertificatesDer: [state.authority.certificateDer],
  });
  const { authority } = state;
  const bytes =
    form.get('signed') === '1'
      ? signAttached({
          key: createPrivateKey(authority.privateKeyPem),
          certificateDer: authority.certificateDer,
          body: profile,
        })
      : profile;
  return [200, appleContentType.profile, bytes];
}

async function scep(
  state: FixtureState,
  device: EnrolledDevice,
  operation: string | null,
  body: Buffer,
): Promise<Answer> {
  const { registration } = state;
  if (operation === 'GetCACaps') return [200, 'text/plain', scepCapabilities];
  if (operation === 'GetCACert') return [200, scepContentType.certificate, Buffer.from(registration.raCertificate)];
  const request = parsePkiMessage(body, [registration]);
  device.transactions.push(request.transactionId);
  if (request.challengePassword !== `challenge-${device.token}`) {
    return [
      200,
      scepContentType.message,
      await buildCertRep(request, { status: 'failure', failInfo: 'badRequest' }, registration),
    ];
  }
  const certificateDer = state.issueIdentity(request.publicKeySpkiDer);
  device.issued += 1;
  device.identityFingerprint = fingerprintOf(certificateDer);
  const { signerCertificateDer: recipientCertificateDer, cipher } = request;
  const outcome = { status: 'success', certificateDer, recipientCertificateDer, cipher } as const;
  return [200, scepContentType.message, await buildCertRep(request, outcome, registration)];
}

/** Signature and TLS identity have to agree. */
function identified(device: EnrolledDevice, request: IncomingMessage, body: Buffer): boolean {
  const { fingerprint } = verifyDetached(String(request.headers['mdm-signature']), body);
  const shown = (request.socket as TLSSocket).getPeerCertificate().raw;
  return fingerprint === device.identityFingerprint && fingerprintOf(shown) === device.identityFingerprint;
}

function managed(state: FixtureState, device: EnrolledDevice, path: FaultyPath, body: Buffer): Answer {
  if (path === 'checkin') {
    device.checkins.push(parseCheckin(body));
    return [200, appleContentType.plist, ''];
  }
  const answer = parseConnect(body);
  device.answers.push(answer);
  for (const listener of state.listeners) listener(device, answer);
  const { outstanding } = device;
  if (answer.status !== 'Idle' && answer.commandUuid === outstanding?.commandUuid) {
    delete device.outstanding;
    if (answer.status === 'NotNow') device.queue.push(outstanding);
  }
  // NotNow: the command waits for the device's next contact.
  if (answer.status === 'NotNow') return [200, appleContentType.plist, ''];
  const next = device.outstanding ?? device.queue.shift();
  if (next === undefined) return [200, appleContentType.plist, ''];
  device.outstanding = next;
  return [200, appleContentType.plist, serializeCommand(next)];
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve());
  });
}
