/** Whether a host's name or address is this computer's own to every computer: what is sent there needs no encryption, and nobody else gets there. */
export function isOwnHost(host: string): boolean {
  return /^(localhost|127(\.\d+){1,3}|\[?::1\]?)$/.test(host);
}
