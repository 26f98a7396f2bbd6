/**
 * The loopback port of the embedded server: remembered, so that the database's address survives restarts, and chosen
 * anew only when another process has it.
 */
import { randomInt } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { BrambleError } from '../../base/errors.ts';

/** Below the range that systems use for outgoing connections, which could otherwise occupy our port. */
const firstPort = 20_000;
const lastPort = 32_000;

/**
 * The remembered port if it is free, else a free one. It is only free at this moment: the caller retries if it is
 * taken.
 */
export async function choosePort(remembered: number | null): Promise<number> {
  if (remembered !== null && (await isFree(remembered))) {
    return remembered;
  }
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = randomInt(firstPort, lastPort);
    if (await isFree(port)) {
      return port;
    }
  }
  throw new BrambleError('ERR_DATABASE_START', `No free loopback port was found from ${firstPort} to ${lastPort}.`);
}

export async function rememberedPort(folder: string): Promise<number | null> {
  const text = await readFile(path.join(folder, 'port'), 'utf8').catch(() => '');
  const port = Number(text.trim());
  return Number.isSafeInteger(port) && port > 0 && port < 65_536 ? port : null;
}

export async function rememberPort(folder: string, port: number): Promise<void> {
  const draft = path.join(folder, `.port-${process.pid}`);
  await writeFile(draft, `${port}\n`);
  await rename(draft, path.join(folder, 'port'));
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer();
  return await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
