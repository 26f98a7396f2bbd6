/**
 * The end of a REST server: it accepts no new connections, closes idle ones, and answers what is under way, each answer
 * being its connection's last. A request that does not end is cut off after a while.
 */
import type { FastifyInstance } from 'fastify';

/** Fastify would cut off every answer under way, or refuse a request on a connection that it still has. */
export const orderlyClose = { forceCloseConnections: 'idle', return503OnClosing: false } as const;

/** Answers already under way when closing begins end their connections too. To be called before the server is ready. */
export function endConnectionsOnClose(app: FastifyInstance): void {
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close');
  });
}

/** Less than the time after which a supervisor kills. */
const underWayMs = 5000;

/** @param graceMs how long a request under way may still take */
export async function closeInOrder(app: FastifyInstance, graceMs = underWayMs): Promise<void> {
  const late = setTimeout(() => app.server.closeAllConnections(), graceMs);
  try {
    await app.close();
  } finally {
    clearTimeout(late);
  }
}
