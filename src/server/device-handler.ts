/**
 * The HTTP handler of a server instance for device addresses:
 *
 *   PUT  /mdm/<token>/checkin   check-in         PUT /mdm/<token>/connect   commands and their answers
 *   GET|POST /scep/<token>      identities       POST /activate             enrolment profiles
 *
 * Invariant: a client-certificate header is believed only where `trusted` says so (the link, or a configured proxy).
 */
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { Activation } from '../activation/activation.ts';
import { identityOf } from '../activation/identity.ts';
import type { ScepService } from '../activation/scep-service.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import type { InstanceId } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import { type CheckinOptions, checkIn } from '../devices/checkin.ts';
import type { ConnectBatcher } from '../devices/connect-batch.ts';
import { connectRequestOf } from '../devices/connect-request.ts';
import { findDeviceByToken } from '../devices/device-store.ts';
import type { Logger } from '../process/logger.ts';
import { activationMethodRefusal, activationRefusal, parseActivationForm } from '../protocol/activation-form.ts';
import { parseCheckin, serializeBootstrapToken } from '../protocol/apple/checkin.ts';
import { parseConnect } from '../protocol/apple/connect.ts';
import type { CertificateKeys } from '../protocol/cms/certificate-keys.ts';
import { type FormBudget, parseQuery } from '../protocol/form.ts';
import {
  answerOfError,
  comeAgain,
  type DeviceAnswer,
  emptyAnswer,
  errorAnswer,
  moving,
  notActive,
  notOwner,
  plistAnswer,
  unknownDevice,
  wrongIdentity,
} from './device-answer.ts';
import { type DeviceRequest, readBody } from './request-body.ts';
import type { RequestSamples } from './request-samples.ts';

export type DeviceResponse = ServerResponse | Http2ServerResponse;

export interface DeviceHandlerOptions {
  db: Database;
  instanceId: InstanceId;
  log: Logger;
  activation: Activation;
  scep: ScepService;
  checkin: CheckinOptions;
  connects: ConnectBatcher;
  samples: RequestSamples;
  certificateKeys: CertificateKeys;
  /** Called with each answer, for metrics. */
  onAnswer: (kind: DeviceAddressKind, answer: DeviceAnswer, latencyMs: number) => void;
}

export type DeviceAddressKind = 'checkin' | 'connect' | 'scep' | 'activate' | 'other';

interface DeviceAddress {
  kind: DeviceAddressKind;
  token: string;
}

/** A request listener; `trusted` is whether the peer may name the device's certificate in a header. */
export function createDeviceHandler(
  options: DeviceHandlerOptions,
): (request: DeviceRequest, response: DeviceResponse, trusted: boolean) => void {
  return (request, response, trusted) => {
    const startedAt = performance.now();
    const address = addressOf(request.url ?? '/');
    void answer(options, request, address, trusted)
      .catch((error: unknown) => {
        const failed = answerOfError(error);
        const fields = { path: address.kind, code: failed.code, reason: messageOf(error) };
        if (failed.status >= 500) {
          options.log.error({ ...fields, err: error }, 'request failed');
          if (address.kind === 'connect') countFailure(options, address.token, performance.now() - startedAt);
        } else options.log.info(fields, 'request refused');
        return failed;
      })
      .then((result) => {
        send(response, result);
        options.onAnswer(address.kind, result, performance.now() - startedAt);
      })
      // An answer that cannot be written concerns one request; unheard, it would end the process.
      .catch((error: unknown) => options.log.error({ reason: messageOf(error) }, 'an answer was not written'));
  };
}

async function answer(
  options: DeviceHandlerOptions,
  request: DeviceRequest,
  address: DeviceAddress,
  trusted: boolean,
): Promise<DeviceAnswer> {
  switch (address.kind) {
    case 'connect':
      return await answerConnect(options, request, address.token, trusted);
    case 'checkin':
      return await answerCheckin(options, request, address.token, trusted);
    case 'scep':
      return await answerScep(options, request, address.token);
    case 'activate':
      return await answerActivation(options, request);
    case 'other':
      return errorAnswer(404, 'ERR_NOT_FOUND', 'Nothing is served at this address.');
  }
}

/** A failed request counts for its account, so that a gate sees it; found afterwards, since it failed anywhere. */
function countFailure(options: DeviceHandlerOptions, token: string, latencyMs: number): void {
  findDeviceByToken(options.db, token)
    .then((device) => {
      if (device !== 'not-found') options.samples.add(device.accountId, latencyMs, true);
    })
    .catch((error: unknown) => options.log.warn({ reason: messageOf(error) }, 'a failed request was not counted'));
}

async function answerConnect(
  options: DeviceHandlerOptions,
  request: DeviceRequest,
  token: string,
  trusted: boolean,
): Promise<DeviceAnswer> {
  const startedAt = performance.now();
  const body = await readPlistBody(request, 'application/x-apple-aspen-mdm');
  const fingerprint = identityOf(proofOf(request, body, trusted), options.certificateKeys);
  const message = parseConnect(body);
  if (message.userId !== undefined) return await answerUserChannel(options, token, fingerprint);
  const outcome = await options.connects.connect(connectRequestOf(token, fingerprint, message));
  switch (outcome.kind) {
    case 'served':
      options.samples.add(outcome.accountId, performance.now() - startedAt, false);
      return outcome.command === null ? emptyAnswer : plistAnswer(outcome.command);
    case 'not-owner':
      return notOwner(outcome.owner);
    case 'moving':
      return moving;
    case 'unknown-device':
      return unknownDevice;
    case 'wrong-identity':
      return wrongIdentity;
    case 'not-active':
      return notActive;
  }
}

/** Commands are queued for devices: on a user channel they would be done for that user alone, and answered for all. */
async function answerUserChannel(
  options: DeviceHandlerOptions,
  token: string,
  fingerprint: string,
): Promise<DeviceAnswer> {
  const device = await findDeviceByToken(options.db, token);
  if (device === 'not-found') return unknownDevice;
  if (device.fingerprint !== fingerprint) return wrongIdentity;
  return device.state === 'active' ? emptyAnswer : notActive;
}

async function answerCheckin(
  options: DeviceHandlerOptions,
  request: DeviceRequest,
  token: string,
  trusted: boolean,
): Promise<DeviceAnswer> {
  const body = await readPlistBody(request, 'application/x-apple-aspen-mdm-checkin');
  const fingerprint = identityOf(proofOf(request, body, trusted), options.certificateKeys);
  const message = parseCheckin(body);
  const device = await findDeviceByToken(options.db, token);
  if (device === 'not-found') return unknownDevice;
  if (device.fingerprint !== fingerprint) return wrongIdentity;
  if (device.state === 'gone') return notActive;
  const outcome = await checkIn(options.checkin, device, message);
  if (outcome.kind === 'not-owner') return notOwner(outcome.owner);
  if (outcome.kind === 'moving') return moving;
  switch (outcome.value.kind) {
    case 'accepted':
    case 'not-served':
      return emptyAnswer;
    case 'bootstrap-token':
      return plistAnswer(serializeBootstrapToken(outcome.value.token ?? undefined));
    case 'refused':
      return errorAnswer(400, 'ERR_CHECKIN_REFUSED', `The check-in was refused: ${outcome.value.reason}.`);
  }
}

/** A request by GET has some 4 KB, in base64; the router passes on targets of 16 KiB at most. */
const scepQueryBudget: FormBudget = { pairsAtMost: 16, nameBytesAtMost: 64, valueBytesAtMost: 16 * 1024 };

async function answerScep(options: DeviceHandlerOptions, request: DeviceRequest, token: string): Promise<DeviceAnswer> {
  if (request.method !== 'GET' && request.method !== 'POST') {
    return errorAnswer(405, 'ERR_METHOD', 'SCEP is asked by GET or POST.');
  }
  const query = parseQuery(request.url ?? '/', scepQueryBudget);
  const operation = query.get('operation') ?? '';
  // A client that leaves the plus signs of its base64 as they are means no blanks.
  const message =
    request.method === 'POST'
      ? await readBody(request)
      : Buffer.from((query.get('message') ?? '').replaceAll(' ', '+'), 'base64');
  const outcome = await options.scep.handleScep({ operation, message, token });
  switch (outcome.kind) {
    case 'answer':
      if (outcome.refusal) {
        options.log.info({ refusal: outcome.refusal, reason: outcome.reason }, 'SCEP request refused');
      }
      return { ...emptyAnswer, headers: { 'content-type': outcome.contentType }, body: outcome.body };
    case 'malformed':
      return errorAnswer(400, outcome.error.code, outcome.error.message);
    case 'unknown-operation':
      return errorAnswer(400, 'ERR_SCEP_OPERATION', 'This SCEP operation is not served.');
    case 'unknown-token':
      return unknownDevice;
    case 'not-owner':
      return notOwner(outcome.owner);
    case 'moving':
      return moving;
  }
}

async function answerActivation(options: DeviceHandlerOptions, request: DeviceRequest): Promise<DeviceAnswer> {
  if (request.method !== 'POST') return errorAnswer(405, activationMethodRefusal.code, activationMethodRefusal.message);
  const form = parseActivationForm(request.headers['content-type'], await readBody(request));
  const outcome = await options.activation.activate(form);
  switch (outcome.kind) {
    case 'profile':
      return { ...emptyAnswer, headers: { 'content-type': outcome.contentType }, body: outcome.body };
    case 'refused':
      options.log.info({ accountName: form.accountName, reason: outcome.reason }, 'activation refused');
      return errorAnswer(400, activationRefusal.code, activationRefusal.message);
    case 'busy':
      return comeAgain('ERR_OVERLOADED', 'Too many activations at once: come again.');
    case 'not-owner':
      return notOwner(outcome.owner);
    case 'moving':
      return moving;
  }
}

const addressPattern = /^\/(mdm|scep)\/([A-Za-z0-9_-]{43})(?:\/(checkin|connect))?(?:\?|$)/;

function addressOf(url: string): DeviceAddress {
  if (/^\/activate(?:\?|$)/.test(url)) return { kind: 'activate', token: '' };
  const [, place, token = '', message] = addressPattern.exec(url) ?? [];
  if (place === 'scep' && message === undefined) return { kind: 'scep', token };
  if (place === 'mdm' && (message === 'checkin' || message === 'connect')) return { kind: message, token };
  return { kind: 'other', token: '' };
}

async function readPlistBody(request: DeviceRequest, contentType: string): Promise<Buffer> {
  if (request.method !== 'PUT' && request.method !== 'POST') {
    throw new BrambleError('ERR_INPUT', `Device messages are sent by PUT, not ${request.method}.`);
  }
  requireContentType(request, contentType);
  return await readBody(request);
}

function requireContentType(request: DeviceRequest, expected: string): void {
  const given = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (given !== expected) {
    throw new BrambleError('ERR_CONTENT_TYPE', `This address takes ${expected}, not ${given || 'an unnamed type'}.`);
  }
}

function proofOf(request: DeviceRequest, body: Buffer, trusted: boolean) {
  return {
    mdmSignature: single(request.headers['mdm-signature']),
    clientCertHeader: trusted ? single(request.headers['client-cert']) : undefined,
    body,
  };
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

function send(response: DeviceResponse, result: DeviceAnswer): void {
  if (response.destroyed || response.headersSent) return;
  const { status, headers, body } = result;
  // HTTP/1 and HTTP/2 responses have the same two methods, but their types do not overlap.
  const out = response as ServerResponse;
  out.writeHead(status, { ...headers, 'content-length': String(Buffer.byteLength(body)) });
  // An empty chunk would be a write of its own.
  if (body.length === 0) out.end();
  else out.end(body);
}
