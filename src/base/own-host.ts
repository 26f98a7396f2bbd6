/** Whether a host's name or address in a URL is this machine's own: what is sent there needs no encryption. */
export function isOwnHost(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[?::1\]?)$/.test(host);
}
