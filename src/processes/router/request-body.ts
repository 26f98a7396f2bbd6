/**
 * A device's body, whole, so that it can be sent a second time after a 421.
 *
 * Invariant: never more of a request is held than the limit of its address, and a request that does not end is
 * abandoned; all large bodies together stay within an allowance, so that nobody can fill the router's memory with them.
 */
import { declaresMore } from '../../link/request-size.ts';
import type { PublicRequest } from './reply.ts';

export type RequestBody =
  | { kind: 'whole'; body: Buffer | null }
  | { kind: 'too-large' }
  /** The device went away. */
  | { kind: 'broken' }
  | { kind: 'late' }
  /** Its place was needed by another request. */
  | { kind: 'displaced' }
  /** Too many large bodies at once. */
  | { kind: 'no-room' };

/** Reserves room for this many more bytes, or returns false; the provider of the function releases it. */
type TakeRoom = (sizeBytes: number) => boolean;

/**
 * Up to this size a body needs no reservation: devices' requests are smaller, and are served even when large ones are
 * not.
 */
const smallBodyBytes = 64 * 1024;

const none: RequestBody = { kind: 'whole', body: null };

/**
 * Never rejects. After `too-large`, `late`, `displaced` and `no-room` the rest is discarded as it arrives.
 * @param onWaiting receives a function that ends the wait for the body early
 */
export function readBody(
  request: PublicRequest,
  maxBytes: number,
  timeoutMs: number,
  takeRoom: TakeRoom,
  onWaiting: (displace: () => void) => void = () => undefined,
): Promise<RequestBody> | RequestBody {
  const declared = request.headers['content-length'];
  if (declaresMore(declared, maxBytes)) return { kind: 'too-large' };
  if (hasNoBody(request)) {
    request.resume();
    return none;
  }
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    let settled = false;
    const settle = (result: RequestBody) => {
      settled = true;
      clearTimeout(timer);
      chunks.length = 0;
      resolve(result);
    };
    const timer = setTimeout(() => settle({ kind: 'late' }), timeoutMs);
    onWaiting(() => settle({ kind: 'displaced' }));
    request.on('data', (chunk: Buffer) => {
      if (settled) return;
      const large = Math.max(0, sizeBytes + chunk.length - Math.max(sizeBytes, smallBodyBytes));
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) settle({ kind: 'too-large' });
      else if (large > 0 && !takeRoom(large)) settle({ kind: 'no-room' });
      else chunks.push(chunk);
    });
    request.on('end', () => {
      const body = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
      settle(sizeBytes === 0 ? none : { kind: 'whole', body });
    });
    request.on('error', () => settle({ kind: 'broken' }));
    request.on('close', () => settle({ kind: 'broken' }));
  });
}

/** Whether the head says so: then there is nothing more to wait for. */
export function hasNoBody(request: PublicRequest): boolean {
  const declared = request.headers['content-length'];
  if (declared === '0') return true;
  if ('stream' in request) return request.stream.endAfterHeaders;
  return declared === undefined && request.headers['transfer-encoding'] === undefined;
}
