/**
 * `npm start`: a lasting domain on this machine, from this checkout's release. Makes BRAMBLE_HOME ready at the first start
 * and runs its supervisor in the foreground; whatever is killed, the next start goes on from there.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBrambleError, messageOf } from '../src/base/errors.ts';
import { homeFolder } from '../src/cli/administration-access.ts';
import { exitCodeOf } from '../src/cli/exit-codes.ts';
import { whileTelling } from '../src/cli/first-sign-in.ts';
import { supervisorMain } from '../src/processes/supervisor/main.ts';
import { prepareHome } from '../src/setup/prepare-home.ts';
import { buildRelease } from './release-build.ts';

const checkout = fileURLToPath(new URL('..', import.meta.url));
const home = homeFolder(process.env);
const publicHost = process.env['BRAMBLE_PUBLIC_HOST'];
const domainName = process.env['BRAMBLE_DOMAIN_NAME'];
const databaseUrl = process.env['DATABASE_URL'];

// A home that is half prepared is finished first: the domain then ends in order, whenever it was asked to.
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => stop.abort(new Error(`${signal} was received`)));
}

try {
  await start();
} catch (error) {
  process.stderr.write(`error: ${messageOf(error)}${isBrambleError(error) ? ` (${error.code})` : ''}\n`);
  process.exitCode = exitCodeOf(error);
}

async function start(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-start-'));
  try {
    const { name, archive, manifest } = await buildRelease({ tree: checkout, commit: null });
    const file = join(folder, name);
    await writeFile(file, archive);
    process.stdout.write(`Bramble ${manifest.release}, home ${home}\n`);
    const prepared = await prepareHome({
      home,
      archive: file,
      name: domainName ?? 'Bramble',
      publicPort: 8443,
      srpPort: 3101,
      consolePort: 3180,
      instances: 1,
      administrationServices: 1,
      ...(publicHost === undefined ? {} : { publicHost }),
      ...(databaseUrl === undefined ? {} : { databaseUrl }),
    });
    process.stdout.write(prepared.created ? 'The domain was created.\n' : 'The domain was there already.\n');
    if (domainName !== undefined && domainName !== prepared.name) {
      process.stdout.write(`Its name stays "${prepared.name}": BRAMBLE_DOMAIN_NAME is for a new domain.\n`);
    }
    process.stdout.write(howToGoOn(prepared.publicUrl, prepared.configuration.srpPort));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  process.env['BRAMBLE_HOME'] = home;
  await whileTelling({ home, write: (text) => process.stdout.write(text) }, async () => {
    await supervisorMain({ keepDatabase: false, signal: stop.signal });
  });
}

function howToGoOn(publicUrl: string, srpPort: number): string {
  const bramble = home === homeFolder({}) ? 'bin/bramble' : `BRAMBLE_HOME=${home} bin/bramble`;
  return `
Devices connect to  ${publicUrl}
Instances dial      port ${srpPort}

In another terminal:
  ${bramble} status                  the domain at a glance
  ${bramble} account create ada      a user account
  ${bramble} account password ada    its activation password
  ${bramble} simulate --devices 10   simulated devices
  ${bramble} --help                  everything else

Ctrl-C or SIGTERM stops the domain; npm start starts it again with all its data.
`;
}
