/** Whether an address as Node.js writes it is reached on this host alone. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
