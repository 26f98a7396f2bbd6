/**
 * How large a device's request may be, as pure rules. Router and instance share them: the router refuses before it
 * reads, and the instance is reachable on loopback as well. The limit of a body depends on its address.
 */

/** A path with its query; a SCEP message in a GET request takes some 4 KB. */
export const maxUrlBytes = 16 * 1024;

/** Whether a declared length (`content-length`) already says that a body is larger than `maxBytes`. */
export function declaresMore(contentLength: string | undefined, maxBytes: number): boolean {
  return contentLength !== undefined && !(Number(contentLength) <= maxBytes);
}

export function bodyTooLargeText(maxBytes: number): string {
  return `A request to this address may have a body of at most ${maxBytes} bytes.`;
}

export const urlTooLargeText = `An address may have at most ${maxUrlBytes} bytes including its query: send the message by POST.`;
