/** The thread that asks: takes a request to keep, and sends it when told to. */
import { Agent, request } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';

interface Asked {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Uint8Array | null;
}

const { port } = workerData as { port: number };
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
let kept: Asked | undefined;

parentPort?.on('message', (message: { kind: 'place'; asked: Asked } | { kind: 'send' }) => {
  if (message.kind === 'place') {
    kept = message.asked;
    parentPort?.postMessage('placed');
    return;
  }
  if (kept === undefined) return;
  const { method, path, headers, body } = kept;
  const say = (text: string) => parentPort?.postMessage(text);
  const sent = request({ host: '127.0.0.1', port, agent, method, path, headers }, (response) => {
    response.resume();
    response.on('close', () => say(String(response.statusCode)));
  });
  sent.on('error', (error) => say(error.message));
  sent.end(body ?? undefined);
});
