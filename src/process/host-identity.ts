/** Who a process is among all processes of the domain: host, boot of that host, process id. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { promisify } from 'node:util';
import { BrambleError } from '../base/errors.ts';

const run = promisify(execFile);

interface HostIdentity {
  host: string;
  /** Differs after every start of the machine: the same process id in another boot is another process. */
  bootId: string;
  processId: number;
}

/** @throws BrambleError ERR_HOST_IDENTITY when the system does not say which boot this is. */
export async function hostIdentity(host: string = hostname()): Promise<HostIdentity> {
  return { host, bootId: await readBootId(), processId: process.pid };
}

async function readBootId(): Promise<string> {
  try {
    if (process.platform === 'linux') return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    return (await run('sysctl', ['-n', 'kern.bootsessionuuid'])).stdout.trim();
  } catch (cause) {
    throw new BrambleError(
      'ERR_HOST_IDENTITY',
      'The operating system does not report which boot of the host this is.',
      {
        cause,
      },
    );
  }
}
