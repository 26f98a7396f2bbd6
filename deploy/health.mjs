/**
 * Whether this host of a domain is at work, for the health check of its container: its supervisor lives, and where it has
 * a router, that answers a device. Ends with 0 if so, otherwise with 1 and why.
 */
import { readdir, readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';

const home = process.env.BRAMBLE_HOME ?? '/var/lib/bramble';
const withinMs = 8000;

/** The holder of the home's lock; a host without anything to run has no other process. */
async function supervisor() {
  const locks = (await readdir(home)).filter((name) => name.startsWith('supervisor.lock.'));
  const numbers = locks.map((name) => Number(name.split('.').at(-1))).sort((a, b) => b - a);
  if (numbers.length === 0) throw new Error('no supervisor has run here yet');
  const { pid } = JSON.parse(await readFile(join(home, `supervisor.lock.${numbers[0]}`), 'utf8'));
  if (pid === null) throw new Error('the supervisor has ended');
  process.kill(pid, 0);
  return pid;
}

/** Any answer will do: no device is behind this question. */
async function routerAnswer() {
  const { publicPort, listenAddress } = JSON.parse(await readFile(join(home, 'config.json'), 'utf8'));
  const host = ['0.0.0.0', '::', undefined].includes(listenAddress) ? 'localhost' : listenAddress;
  const options = { host, port: publicPort, path: '/', rejectUnauthorized: false, timeout: withinMs };
  return await new Promise((resolve, reject) => {
    request(options, (answer) => resolve(answer.resume().statusCode))
      .on('timeout', () => reject(new Error(`the router did not answer within ${withinMs} ms`)))
      .on('error', reject)
      .end();
  });
}

try {
  const pid = await supervisor();
  const routers = await readdir(join(home, 'router')).catch(() => []);
  const answer = routers.length === 0 ? '' : `, the router answers ${await routerAnswer()}`;
  console.log(`the supervisor is process ${pid}${answer}`);
  process.exit(0);
} catch (error) {
  console.log(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
