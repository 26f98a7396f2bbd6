/** The bare Fastify server that lists and search are held against: it answers one page, as JSON that it makes for each request. */
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';

const app = fastify();
process.on('message', async (message: 'cpu' | { body: string }) => {
  if (message === 'cpu') {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpu: user + system });
    return;
  }
  const page = JSON.parse(message.body) as object;
  app.get('/', async () => page);
  await app.listen({ host: '127.0.0.1', port: 0 });
  process.send?.({ port: (app.server.address() as AddressInfo).port });
});
process.on('disconnect', () => process.exit(0));
