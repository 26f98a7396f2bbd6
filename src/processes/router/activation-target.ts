/**
 * Where an activation goes: to the instance of the account that it names, and to no other.
 *
 * Invariant: if any instance can be asked for the owner of an account, a password is sent only where a signed answer of
 * the domain says: never to an instance merely because it is linked, or because another instance, which may be a stolen
 * credential, named it.
 *
 * While only instances of 1.1 are linked, which cannot be asked, any of them gets the POST and names the owner (421).
 * An instance that could be asked before is excluded from this: a downgrade is not trusted.
 */
import type { IncomingHttpHeaders } from 'node:http2';
import { accountNameOf } from '../../base/account-name.ts';
import { isBrambleError } from '../../base/errors.ts';
import { accountQuestionVersion } from '../../link/messages.ts';
import { activationMethodRefusal, activationRefusal, platformRefusal } from '../../platforms/enrolment-refusals.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { DeviceProtocol } from '../../platforms/protocol.ts';
import type { LinkRegistry, RouterLink } from './link-registry.ts';
import { type Reply, refusal } from './reply.ts';
import type { RouteDirectory } from './route-directory.ts';
import { notConnected, stalled, type Target } from './route-target.ts';

interface ActivationPost {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer | null;
  readonly protocol: Pick<DeviceProtocol, 'readEnrolment'>;
}

interface Around {
  readonly links: LinkRegistry;
  readonly routes: RouteDirectory;
  readonly platforms: Pick<Platforms, 'named'>;
}

export function activationTarget(post: ActivationPost, { links, routes, platforms }: Around): Target {
  const inTurn = targetInTurn(links);
  let owner: string | null = null;
  return {
    get owner() {
      return owner;
    },
    next: async (again) => {
      if (!routes.knowsAccounts) return await inTurn.next(again);
      const account = accountOf(post, platforms);
      if (typeof account !== 'string') return account;
      const route = await routes.find('account', account);
      if (route.kind === 'unknown') return refused();
      if (route.kind === 'unavailable') return notConnected;
      owner = route.identifier;
      return links.get(owner) ?? (links.isStalled(owner) ? stalled : notConnected);
    },
    // Used only when there is nothing better: the next question has its own signed answer.
    redirect: inTurn.redirect,
    doubt: () => undefined,
  };
}

/**
 * The stored name of the account, or the answer to the form, the same as an instance would give. What an instance refuses
 * whatever the account is refused here before the account is looked up, so that it does not reveal which accounts exist.
 */
function accountOf(
  { method, headers, body, protocol }: ActivationPost,
  platforms: Pick<Platforms, 'named'>,
): string | Reply {
  if (method !== 'POST') return refusal(405, activationMethodRefusal.code, activationMethodRefusal.message);
  try {
    const { platform, accountName } = protocol.readEnrolment(headers['content-type'], body ?? Buffer.alloc(0));
    if (platforms.named(platform) === undefined) {
      const { code, message } = platformRefusal(platform);
      return refusal(400, code, message);
    }
    return accountNameOf(accountName);
  } catch (error) {
    if (isBrambleError(error, 'ERR_ACCOUNT_NAME')) return refused();
    if (isBrambleError(error, 'ERR_CONTENT_TYPE')) return refusal(415, error.code, error.message);
    if (isBrambleError(error)) return refusal(400, error.code, error.message);
    throw error;
  }
}

/** Byte for byte an instance's answer to a wrong password, so that it does not reveal which accounts exist. */
function refused(): Reply {
  const body = Buffer.from(JSON.stringify(activationRefusal));
  return { status: 400, headers: { 'content-type': 'application/json' }, body, rest: null };
}

/** One instance after the other, until one names the owner. */
function targetInTurn(links: LinkRegistry): Pick<Target, 'next' | 'redirect'> {
  const tried = new Set<RouterLink>();
  let owner: string | null = null;
  const mayHave = ({ identifier }: RouterLink) => links.greatestVersion(identifier) < accountQuestionVersion;
  return {
    next: async () => {
      const named = owner === null ? undefined : links.get(owner);
      const link = owner === null ? links.servers().find((server) => mayHave(server) && !tried.has(server)) : named;
      if (!link || !mayHave(link)) return notConnected;
      tried.add(link);
      return link;
    },
    redirect: (identifier) => {
      owner = identifier;
    },
  };
}
