/**
 * The HTTP handler of a server instance for device addresses: the platform's protocol identifies the address, and its
 * purpose selects the handler.
 *
 * Invariant: a client-certificate header is trusted only if the route allows it (the link, or a configured proxy).
 */
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import { messageOf } from '../../base/errors.ts';
import { findDeviceByToken } from '../../devices/device-store.ts';
import { maxUrlBytes, urlTooLargeText } from '../../link/request-size.ts';
import type { DeviceAddress } from '../../platforms/protocol.ts';
import { answerAnnouncement } from './announcement-requests.ts';
import { answerCommandRequest } from './command-requests.ts';
import { answerOfError, type DeviceAnswer, errorAnswer } from './device-answer.ts';
import { type RequestWay, remoteAddressOf } from './device-identity.ts';
import { createLargeMessages } from './large-messages.ts';
import { answerActivation, answerIdentity, answerScep } from './newcomer-answers.ts';
import type { DeviceRequest } from './request-body.ts';
import type { DeviceHandlerOptions, Serving } from './serving.ts';

type DeviceResponse = ServerResponse | Http2ServerResponse;

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
