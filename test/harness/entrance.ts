/** What stands before the routers of a domain and leads devices to one of them: an address that moves, as a balancer's does. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { until } from '../../src/testing/condition.ts';

export interface Entrance {
  close(): Promise<void>;
}

/** Takes the address as soon as nobody listens there, and passes every connection on to `to`. */
export async function openEntrance(
  at: { host: string; port: number },
  to: { host: string; port: number },
): Promise<Entrance> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const onward = connect(to);
    for (const [one, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      open.add(one);
      one
        .on('error', () => undefined)
        .once('close', () => {
          open.delete(one);
          other.destroy();
        });
      one.pipe(other);
    }
  });
  await until(`the address ${at.host}:${at.port} is free`, 60_000, async () => {
    server.listen(at);
    return await once(server, 'listening').then(
      () => true,
      () => false,
    );
  });
  return {
    close: async () => {
      server.close();
      for (const socket of open) socket.destroy();
      await once(server, 'close');
    },
  };
}
