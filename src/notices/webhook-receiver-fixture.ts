/** For tests: an HTTP or HTTPS server on loopback that keeps what webhooks are sent to it, and answers as the test says. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

export interface ReceivedHook {
  headers: IncomingHttpHeaders;
  body: string;
  json: { type: string; timestamp: string; data: { domain: string; kind: string; subject: string; message: string } };
}

interface WebhookReceiver {
  url: string;
  received: ReceivedHook[];
  /** What it does with the next requests; by default it answers 204. */
  answer: (response: ServerResponse, hook: ReceivedHook) => void;
}

/** Closed at the end of the test file. */
export async function startWebhookReceiver(tls?: { key: string; cert: string }): Promise<WebhookReceiver> {
  const receiver: WebhookReceiver = {
    url: '',
    received: [],
    answer: (response) => void response.writeHead(204).end(),
  };
  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    const pieces = (await request.toArray()) as Buffer[];
    const body = Buffer.concat(pieces).toString();
    const hook = { headers: request.headers, body, json: JSON.parse(body) as ReceivedHook['json'] };
    receiver.received.push(hook);
    receiver.answer(response, hook);
  };
  const server = tls === undefined ? createServer(receive) : createTlsServer(tls, receive);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  receiver.url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}/hook/secret-path`;
  return receiver;
}
