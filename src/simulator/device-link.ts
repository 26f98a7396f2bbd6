/**
 * A managed device's requests to its server: every body signed with the device's identity, every outcome in the journal.
 */
import type { KeyObject } from 'node:crypto';
import { appleContentType } from '../protocol/apple/content-type.ts';
import { signDetached } from '../protocol/cms/signing.ts';
import { type DeviceHttp, failureOfStatus, type HttpOutcome, type HttpRequest } from './device-http.ts';
import type { AnswerStatus, FailureClass, JournalEvent, RequestKind } from './journal.ts';

export interface DeviceIdentity {
  readonly key: KeyObject;
  readonly keyPem: string;
  readonly certificateDer: Uint8Array;
}

interface DeviceAddresses {
  readonly checkInUrl: URL;
  readonly serverUrl: URL;
}

export type LinkOutcome =
  | { readonly kind: 'replied'; readonly body: Buffer; readonly contentType: string }
  | {
      readonly kind: 'failed';
      readonly failure: FailureClass;
      readonly httpStatus: number | undefined;
      readonly body: Buffer;
    }
  /** The server's answer makes the device leave management. */
  | { readonly kind: 'unenrolled' };

interface ConnectDetail {
  readonly loseReply?: boolean;
  readonly probe?: boolean;
  readonly answerTo?: { readonly commandUuid: string; readonly status: AnswerStatus };
}

export interface DeviceLink {
  checkIn(kind: 'authenticate' | 'token-update' | 'check-out', body: Buffer): Promise<LinkOutcome>;
  connect(kind: 'idle' | 'answer', body: Buffer, detail?: ConnectDetail): Promise<LinkOutcome>;
  /** From now on it signs with this identity. */
  use(identity: DeviceIdentity): void;
}

export function createDeviceLink(
  http: DeviceHttp,
  addresses: DeviceAddresses,
  initial: DeviceIdentity,
  journal: (event: JournalEvent) => void,
): DeviceLink {
  let identity = initial;
  /** The Idle body never changes, so neither does its signature. */
  let idle: { body: Buffer; signature: string } | undefined;
  const signatureOf = (kind: RequestKind, body: Buffer): string => {
    if (kind === 'idle' && idle?.body === body) return idle.signature;
    const signature = signDetached({ key: identity.key, certificateDer: identity.certificateDer, body });
    if (kind === 'idle') idle = { body, signature };
    return signature;
  };
  const put = (kind: RequestKind, url: URL, contentType: string, body: Buffer, detail: ConnectDetail) =>
    sendJournalled(
      http,
      kind,
      {
        method: 'PUT',
        url,
        body,
        headers: { 'content-type': contentType, 'mdm-signature': signatureOf(kind, body) },
        loseReply: detail.loseReply === true,
      },
      journal,
      detail,
    );
  return {
    checkIn: (kind, body) => put(kind, addresses.checkInUrl, appleContentType.checkin, body, {}),
    connect: (kind, body, detail = {}) => put(kind, addresses.serverUrl, appleContentType.connect, body, detail),
    use(next) {
      identity = next;
      idle = undefined;
    },
  };
}

/** Sends and records the outcome; also records the end of management if it causes that. */
export async function sendJournalled(
  http: DeviceHttp,
  kind: RequestKind,
  request: HttpRequest,
  journal: (event: JournalEvent) => void,
  detail: ConnectDetail = {},
): Promise<LinkOutcome> {
  const outcome: HttpOutcome = await http.send(request);
  const failure = outcome.kind === 'failed' ? outcome.failure : failureOfStatus(outcome);
  const httpStatus = outcome.kind === 'replied' ? outcome.httpStatus : undefined;
  journal({
    event: 'request',
    request: kind,
    startedAt: outcome.startedAt,
    latencyMs: outcome.latencyMs,
    ok: failure === undefined,
    ...(outcome.sentAgain ? { sentAgain: true as const } : {}),
    ...(httpStatus === undefined ? {} : { httpStatus }),
    ...(failure === undefined ? {} : { failure }),
    ...(failure === undefined
      ? {}
      : { message: outcome.kind === 'failed' ? outcome.message : firstLine(outcome.body) }),
    ...(detail.answerTo === undefined
      ? {}
      : { commandUuid: detail.answerTo.commandUuid, status: detail.answerTo.status }),
    ...(detail.probe === true ? { probe: true as const } : {}),
  });
  if (outcome.kind === 'replied' && failure === undefined) {
    return { kind: 'replied', body: outcome.body, contentType: outcome.contentType };
  }
  if (failure === 'unenrolled') {
    journal({ event: 'unenrolled', httpStatus: httpStatus ?? 0 });
    return { kind: 'unenrolled' };
  }
  const body = outcome.kind === 'replied' ? outcome.body : Buffer.alloc(0);
  return { kind: 'failed', failure: failure ?? 'refused', httpStatus, body };
}

function firstLine(body: Buffer): string {
  return body.toString('utf8', 0, 200).split('\n')[0] ?? '';
}
