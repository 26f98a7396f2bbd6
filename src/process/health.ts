/**
 * /healthz (the process answers), /readyz (it can do its work; 503 and the reason while it cannot) and /metrics
 * (Prometheus text), as a handler to put before another one, or as a server of its own on an ephemeral loopback port.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { messageOf } from '../base/errors.ts';

/** `null` when ready, otherwise the reason, for people. */
export type Readiness = () => string | null | Promise<string | null>;

interface HealthOptions {
  registry: Registry;
  ready: Readiness;
}

/** Answers the three paths and returns true; for any other request returns false and does nothing. */
export type HealthHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Gauges whose values are read when the metrics are fetched. */
export function addGauges(registry: Registry, gauges: Record<string, { help: string; value: () => number }>): void {
  for (const [name, { help, value }] of Object.entries(gauges)) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  }
}

/** A metrics registry with the process's own figures and `bramble_component_info`. */
export function createRegistry(component: { name: string; kind: string; release: string }): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'bramble_component_info',
    help: 'Always 1; the labels name the component and its release.',
    labelNames: ['name', 'kind', 'release'],
    registers: [registry],
  }).set({ ...component }, 1);
  return registry;
}

export function healthHandler(options: HealthOptions): HealthHandler {
  return (request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (path === '/healthz') {
      reply(response, 200, 'application/json', '{"status":"ok"}');
    } else if (path === '/readyz') {
      void replyReadiness(options.ready, response);
    } else if (path === '/metrics') {
      void replyMetrics(options.registry, response);
    } else {
      return false;
    }
    return true;
  };
}

interface HealthServer {
  /** `http://127.0.0.1:port` */
  url: string;
  close(): Promise<void>;
}

/** A server for these three paths only, on 127.0.0.1; port 0 takes a free one. */
export async function startHealthServer(options: HealthOptions, port = 0): Promise<HealthServer> {
  const handle = healthHandler(options);
  const server = createServer((request, response) => {
    if (!handle(request, response)) reply(response, 404, 'application/json', '{"code":"ERR_NOT_FOUND"}');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function replyReadiness(ready: Readiness, response: ServerResponse): Promise<void> {
  let reason: string | null;
  try {
    reason = await ready();
  } catch (error) {
    reason = messageOf(error);
  }
  const status = reason === null ? { status: 'ready' } : { status: 'not-ready', reason };
  reply(response, reason === null ? 200 : 503, 'application/json', JSON.stringify(status));
}

async function replyMetrics(registry: Registry, response: ServerResponse): Promise<void> {
  try {
    reply(response, 200, registry.contentType, await registry.metrics());
  } catch (error) {
    reply(response, 500, 'text/plain', messageOf(error));
  }
}

function reply(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}
