import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { BrambleError } from '../base/errors.ts';

/** Over the loopback listener or over the link. */
export type DeviceRequest = IncomingMessage | Http2ServerRequest;

/** The default limit of a device's request. */
export const bodyBytesAtMost = 1024 * 1024;

/** @throws BrambleError ERR_BODY_TOO_LARGE, ERR_INPUT when the peer went away in mid-body. */
export function readBody(request: DeviceRequest, atMost = bodyBytesAtMost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes > atMost) {
        request.pause();
        reject(new BrambleError('ERR_BODY_TOO_LARGE', `The request is larger than ${atMost} bytes.`));
        return;
      }
      chunks.push(chunk);
    });
    request.on('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)));
    request.on('error', reject);
    request.on('aborted', () => reject(new BrambleError('ERR_INPUT', 'The request ended in the middle of its body.')));
  });
}
