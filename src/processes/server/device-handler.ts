/**
 * The HTTP handler of a server instance for device addresses: the platform's protocol identifies the address, and its
 * purpose selects the handler.
 *
 * Invariant: a client-certificate header is trusted only if the route allows it (the link, or a configured proxy).
 */
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { InstanceId } from '../../base/ids.ts';
import type { Database } from '../../database/connection.ts';
import type { AnnouncementOptions } from '../../devices/announcements.ts';
import type { ConnectBatcher } from '../../devices/connect-batch.ts';
import { findDeviceByToken } from '../../devices/device-store.ts';
import { maxUrlBytes, urlTooLargeText } from '../../link/request-size.ts';
import type { RequestSamples } from '../../measurements/request-samples.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { DeviceAddress } from '../../platforms/protocol.ts';
import type { CertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import { answerAnnouncement } from './announcement-requests.ts';
import { answerCommandRequest } from './command-requests.ts';
import { answerOfError, type DeviceAnswer, errorAnswer } from './device-answer.ts';
import { type RequestWay, remoteAddressOf } from './device-identity.ts';
import type { DeviceNotices } from './device-notices.ts';
import type { IdentityUse } from './identity-use.ts';
import { createLargeMessages, type LargeMessages } from './large-messages.ts';
import { answerActivation, answerIdentity, answerScep, type NewcomerOptions } from './newcomer-answers.ts';
import type { DeviceRequest } from './request-body.ts';

export type DeviceResponse = ServerResponse | Http2ServerResponse;

export interface DeviceHandlerOptions extends NewcomerOptions {
  db: Database;
  instanceId: InstanceId;
  platforms: Platforms;
  announcements: AnnouncementOptions;
  connects: ConnectBatcher;
  samples: RequestSamples;
  notices: DeviceNotices;
  certificateKeys: CertificateKeys;
  /** The certificate of the authority that issues device identities. */
  deviceAuthorityDer: Uint8Array;
  clock: Clock;
  identityUse: IdentityUse;
  /** Called with each answer and the kind of its address, for metrics. */
  onAnswer: (kind: string, answer: DeviceAnswer, latencyMs: number) => void;
}

export interface Serving extends DeviceHandlerOptions {
  largeMessages: LargeMessages;
}

/** A request listener; the route says whether the peer may name the device's certificate in a header. */
export function createDeviceHandler(
  handlerOptions: DeviceHandlerOptions,
): (request: DeviceRequest, response: DeviceResponse, way: RequestWay) => void {
  const options: Serving = { ...handlerOptions, largeMessages: createLargeMessages(handlerOptions.clock) };
  return (request, response, way) => {
    const startedAt = performance.now();
    const address = options.platforms.addressOf(request.url ?? '/');
    const { kind, purpose, protocol } = address.rule;
    void answer(options, request, address, way)
      .catch((error: unknown) => {
        const failed = answerOfError(error, protocol?.faults);
        const from = remoteAddressOf(request, way);
        const fields = { path: kind, address: from, code: failed.code, reason: messageOf(error) };
        if (failed.status >= 500) {
          options.log.error({ ...fields, err: error }, 'request failed');
          if (purpose === 'commands') countFailure(options, address.token, performance.now() - startedAt);
        } else options.log.info(fields, 'request refused');
        return failed;
      })
      .then((result) => {
        send(response, result);
        options.onAnswer(kind, result, performance.now() - startedAt);
      })
      // A failed write affects one request; without a listener the error would end the process.
      .catch((error: unknown) => options.log.error({ reason: messageOf(error) }, 'an answer could not be written'));
  };
}

async function answer(
  options: Serving,
  request: DeviceRequest,
  { rule, token }: DeviceAddress,
  way: RequestWay,
): Promise<DeviceAnswer> {
  if ((request.url?.length ?? 0) > maxUrlBytes) return errorAnswer(413, 'ERR_BODY_TOO_LARGE', urlTooLargeText);
  const { protocol } = rule;
  if (protocol === null) return notServed;
  switch (rule.purpose) {
    case 'commands':
      return await answerCommandRequest(options, { request, rule, protocol, token, way });
    case 'announcements':
      return await answerAnnouncement(options, { request, rule, protocol, token, way });
    case 'scep':
      return await answerScep(options, { request, rule, protocol, token, way });
    case 'identity':
      return await answerIdentity(options, { request, rule, protocol, token, way });
    case 'enrolment':
      return await answerActivation(options, { request, rule, protocol, token, way });
    case 'none':
      return notServed;
  }
}

const notServed = errorAnswer(404, 'ERR_NOT_FOUND', 'Nothing is served at this address.');

/**
 * A failed request counts for its account, so that a gate sees it; looked up afterwards, since it may have failed
 * anywhere.
 */
function countFailure(options: DeviceHandlerOptions, token: string, latencyMs: number): void {
  findDeviceByToken(options.db, token)
    .then((device) => {
      if (device !== 'not-found') options.samples.add(device.accountId, latencyMs, true);
    })
    .catch((error: unknown) => options.log.warn({ reason: messageOf(error) }, 'a failed request could not be counted'));
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
