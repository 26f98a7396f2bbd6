/** What stands before the routers of a domain and leads devices to them: an address that moves, or a balancer. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { until } from '../../src/testing/condition.ts';

export interface Entrance {
  close(): Promise<void>;
}

/** Takes the address as soon as nobody listens there, and passes each connection on to one of `to`, in turn. */
export async function openEntrance(
  at: { host: string; port: number },
  to: readonly { host: string; port: number }[],
): Promise<Entrance> {
  let connections = 0;
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const target = to[connections++ % to.length];
    if (target === undefined) return void client.destroy();
    const onward = connect(target);
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
