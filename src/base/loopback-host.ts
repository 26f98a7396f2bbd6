/** Whether a host, as it stands in an address, is this computer to every computer. An empty one and a path mean a local socket. */
export function isOwnOnly(host: string): boolean {
  return ['', 'localhost', '[::1]', '::1'].includes(host) || host.startsWith('127.') || host.startsWith('/');
}
