/** Reads the body of a device request. Invariant: never more than the limit of its address is held in memory. */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { BrambleError } from '../../base/errors.ts';
import { bodyTooLargeText, declaresMore } from '../../link/request-size.ts';
import type { AddressRule } from '../../platforms/protocol.ts';

/** Over the loopback listener or over the link. */
export type DeviceRequest = IncomingMessage | Http2ServerRequest;

/**
 * The whole body of a request at such an address. The router enforces the same limit, but a request through a loopback
 * proxy has not passed a router.
 * @throws BrambleError ERR_BODY_TOO_LARGE, before more than the limit is held; ERR_INPUT when the peer disconnected in
 * the middle of the body.
 */
export function readBody(request: DeviceRequest, { maxBytes }: AddressRule): Promise<Buffer> {
  const tooLarge = () => new BrambleError('ERR_BODY_TOO_LARGE', bodyTooLargeText(maxBytes));
  if (declaresMore(request.headers['content-length'], maxBytes)) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) {
        request.pause();
        reject(tooLarge());
        return;
      }
      chunks.push(chunk);
    });
    request.on('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    request.on('error', reject);
    request.on('aborted', () => reject(new BrambleError('ERR_INPUT', 'The request ended in the middle of its body.')));
  });
}
