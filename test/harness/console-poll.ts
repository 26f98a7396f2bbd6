/** A client of the console's origin that asks again and again, over a connection of its own each time, as a program would. */
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface Polled {
  /** Who answered, one entry each time that it changed. */
  readonly servedBy: readonly string[];
  readonly answers: number;
  /** Connections that were refused or cut off, and answers other than those expected, in words. */
  readonly failures: readonly string[];
}

export interface ConsolePoll extends Polled {
  stop(): Promise<Polled>;
}

/** @param path expected to be answered with 200 by whoever answers */
export async function pollConsole(home: string, path: string, token: string): Promise<ConsolePoll> {
  const { url } = JSON.parse(await readFile(join(home, 'console.json'), 'utf8')) as { url: string };
  const { port } = new URL(url);
  const [servedBy, failures]: [string[], string[]] = [[], []];
  const ending = new AbortController();
  let answers = 0;
  const running = (async () => {
    while (!ending.signal.aborted) {
      try {
        const { status, by, text } = await ask(Number(port), path, token);
        answers += 1;
        if (status !== 200) failures.push(`${path} was answered by the ${by} with ${status}: ${text.slice(0, 300)}`);
        if (servedBy.at(-1) !== by) servedBy.push(by);
      } catch (error) {
        failures.push(String(error));
      }
      await delay(20, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  })();
  const polled = {
    servedBy,
    failures,
    get answers() {
      return answers;
    },
  };
  return Object.assign(polled, {
    stop: async () => {
      ending.abort();
      await running;
      return polled;
    },
  });
}

async function ask(port: number, path: string, token: string): Promise<{ status: number; by: string; text: string }> {
  return await new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, host: `localhost:${port}` };
    const asked = request({ host: '127.0.0.1', port, path, headers, agent: false, timeout: 60_000 }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.once('error', reject);
      answer.once('end', () =>
        resolve({ status: answer.statusCode ?? 0, by: String(answer.headers['bramble-served-by']), text }),
      );
    });
    asked.once('timeout', () => asked.destroy(new Error('no answer within a minute')));
    asked.once('error', reject).end();
  });
}
