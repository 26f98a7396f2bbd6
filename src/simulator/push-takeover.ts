/**
 * The simulator wakes its devices through its own push service, which has to be set in the domain. Invariant: a domain
 * with another push service is left alone unless told otherwise, and gets its previous setting back when the fleet
 * ends.
 */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { AdministrationClient } from '../api/client.ts';
import { pushOperations } from '../api/push.ts';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';

/** Where a domain has its devices woken. */
interface PushService {
  readonly url: string;
  /** Trusted there instead of the machine's authorities. */
  readonly caPem?: string;
}

/** The default of a domain. */
const vendorUrl = 'https://api.push.apple.com';
const probeMs = 3000;
const againMs = 1000;

/**
 * What is to be put back: nothing where the domain has the vendor's service, or one of a simulator that is gone.
 * @throws BrambleError ERR_SIMULATOR_PUSH_CERTIFICATE where real devices are woken, ERR_SIMULATOR_PUSH_SERVICE where another
 *   simulator is at work or a service of the domain's own is set, and `replace` does not say to replace it
 */
export async function pushServiceToRestore(
  administration: AdministrationClient,
  replace: boolean,
): Promise<Partial<PushService>> {
  const { url, caPem, hasCertificate } = await administration.call(pushOperations.show, {});
  if (hasCertificate) {
    throw new BrambleError(
      'ERR_SIMULATOR_PUSH_CERTIFICATE',
      'This domain has a push certificate. The simulator would replace the push service with its own, and real ' +
        'devices would no longer be woken. Run simulated devices against a separate domain.',
    );
  }
  if (new URL(url).href === new URL(vendorUrl).href) return {};
  const { hostname, port } = new URL(url);
  const simulated = hostname === '127.0.0.1' && port !== '';
  const answers = simulated && (await isOpen(Number(port)));
  if (simulated && !answers) return {};
  if (!replace) {
    throw new BrambleError(
      'ERR_SIMULATOR_PUSH_SERVICE',
      `The domain wakes devices through ${url}, ` +
        `${answers ? 'where another simulator seems to be running' : 'a service of its own'}. The simulator would ` +
        'replace it with its own while it runs, and those devices would no longer be woken. End that one first, ' +
        'or give --replace-push.',
    );
  }
  return { url, ...(caPem === null ? {} : { caPem }) };
}

/**
 * Restores the previous push service, unless it has been changed since. Retried once a second until the signal is aborted while
 * an upgrade replaces the administration service; idempotent. Never rejects: returns the outcome as text.
 */
export async function restorePushService(
  administration: AdministrationClient,
  ownUrl: string,
  before: Partial<PushService>,
  signal: AbortSignal,
): Promise<string> {
  for (;;) {
    try {
      const { url } = await administration.call(pushOperations.show, {});
      if (url !== ownUrl) return `The domain's push service is ${url} by now and was left unchanged.`;
      await administration.call(pushOperations.replace, { body: { ...before } });
      return `The domain's push service is ${before.url ?? vendorUrl} again.`;
    } catch (error) {
      const between = isBrambleError(error) && error.code === 'ERR_RELEASE_FENCED';
      if (between && (await isWorthAnother(signal))) continue;
      return (
        `The domain's push service could not be restored (${messageOf(error)}). It is still ${ownUrl}: set it with ` +
        `\`bramble push --set url=${before.url ?? vendorUrl} --set caPem=null\`.`
      );
    }
  }
}

async function isWorthAnother(signal: AbortSignal): Promise<boolean> {
  await delay(againMs, undefined, { signal }).catch(() => undefined);
  return !signal.aborted;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: probeMs });
    const end = (open: boolean) => () => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', end(true)).once('timeout', end(true)).once('error', end(false));
  });
}
