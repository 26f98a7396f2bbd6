/** For tests only: a way to a server that can become one on which nothing arrives, as when a cable is pulled: no end, no reset. */
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

interface Forwarder {
  /** The URL of the server, through here. */
  readonly url: string;
  readonly port: number;
  /** How many came so far. */
  connections(): number;
  /** How many of them have not left. */
  open(): number;
  /** From now on everything is accepted and nothing passed on, to those who come as well. */
  swallow(): void;
}

export async function startForwarder(t: TestContext, url: string): Promise<Forwarder> {
  const server = new URL(url);
  const sockets = new Set<Socket>();
  let connections = 0;
  let open = 0;
  let swallows = false;
  const forwarder = net.createServer((client) => {
    connections += 1;
    open += 1;
    client.once('close', () => {
      open -= 1;
    });
    sockets.add(client.on('error', () => {}));
    client.resume();
    if (swallows) return;
    const upstream = net.connect(Number(server.port), server.hostname).on('error', () => {});
    sockets.add(upstream);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('data', (data) => void (swallows || to.write(data)));
      from.once('close', () => void (swallows || to.destroy()));
    }
  });
  forwarder.listen(0, '127.0.0.1');
  await once(forwarder, 'listening');
  t.after(() => {
    forwarder.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = forwarder.address() as AddressInfo;
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String(port);
  return {
    url: through.href,
    port,
    connections: () => connections,
    open: () => open,
    swallow: () => {
      swallows = true;
    },
  };
}
