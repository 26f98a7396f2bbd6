/**
 * Whether this host of a domain is at work, for the health check of its container: it runs processes of the domain, and
 * where it has a router, that answers a device. Ends with 0 if so, otherwise with 1 and why.
 */
import { readdir, readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';

const home = process.env.BRAMBLE_HOME ?? '/var/lib/bramble';
const withinMs = 8000;

async function runningProcesses() {
  const folder = join(home, 'run', 'processes');
  const names = await readdir(folder).catch(() => []);
  const marks = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8').catch(() => '{}')));
  return marks.filter((mark) => {
    try {
      return process.kill(JSON.parse(mark).pid, 0);
    } catch {
      return false;
    }
  }).length;
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
  const running = await runningProcesses();
  if (running === 0) throw new Error('no process of the domain runs here');
  const routers = await readdir(join(home, 'router')).catch(() => []);
  const answer = routers.length === 0 ? '' : `, the router answers ${await routerAnswer()}`;
  console.log(`${running} processes run${answer}`);
  process.exit(0);
} catch (error) {
  console.log(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
