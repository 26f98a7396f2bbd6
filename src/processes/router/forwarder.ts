/**
 * One device's request: find the owner, send the request there, and judge the answer.
 *
 *   route → link → sent → answered            → the device
 *         → none but expected (link-patience.ts) → route again
 *                       → 421 (first)         → the owner that it named, once
 *                       → 421 (second)        → 503
 *                       → not sent            → route again, once, and as long as a link is expected
 *                       → ambiguous, late     → 503, never sent again
 *
 * Invariant: a request reaches the handlers of at most one instance that may have processed it.
 */

import type { IncomingHttpHeaders } from 'node:http2';
import { identifierShape } from '../../link/messages.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { DeviceAddress } from '../../platforms/protocol.ts';
import { activationTarget } from './activation-target.ts';
import { fingerprintOf, requestHeaders, responseHeaders, type Sender } from './forwarded-headers.ts';
import { type Exchange, exchange } from './link-exchange.ts';
import type { LinkPatience } from './link-patience.ts';
import type { LinkRegistry, RouterLink } from './link-registry.ts';
import type { OutcomeCounter, SeenRequest } from './outcome-counter.ts';
import { type Reply, refusal } from './reply.ts';
import type { Route, RouteDirectory } from './route-directory.ts';
import { notConnected, stalled, type Target } from './route-target.ts';

interface DeviceRequest {
  method: string;
  /** Path and query. */
  url: string;
  address: DeviceAddress;
  headers: IncomingHttpHeaders;
  body: Buffer | null;
  sender: Sender;
  /** Milliseconds left until it must be answered. */
  timeoutMs: number;
}

interface ForwarderOptions {
  links: LinkRegistry;
  routes: RouteDirectory;
  platforms: Pick<Platforms, 'named'>;
  outcomes: OutcomeCounter;
  patience: LinkPatience;
  /** Milliseconds, never falling. */
  now: () => number;
}

export type Forwarder = (request: DeviceRequest) => Promise<Reply>;

// An owner without a link, or one that fails, may have lost its accounts to another: a route learned this long ago is
// looked up again.
const staleOwnerMs = 2000;

export function createForwarder(options: ForwarderOptions): Forwarder {
  return async (request) => {
    const { address, sender } = request;
    const { purpose, protocol } = address.rule;
    if (purpose === 'enrolment' && protocol !== null) {
      return await forward(request, options, activationTarget({ ...request, protocol }, options));
    }
    const target = tokenTarget(address.token, options);
    const startedMs = options.now();
    let status = 503;
    try {
      const reply = await forward(request, options, target);
      ({ status } = reply);
      return reply;
    } finally {
      const seen = { address, sender, owner: target.owner, status, latencyMs: options.now() - startedMs };
      if (options.outcomes.count(seen) === 'unheard' && status >= 500) void countIfVouched(seen, options);
    }
  };
}

/**
 * After the answer: whether the failed request came from a device is determined by its certificate, which costs a
 * query.
 */
async function countIfVouched(seen: SeenRequest, { routes, outcomes }: ForwarderOptions): Promise<void> {
  const { clientCertificate } = seen.sender;
  if (seen.owner === null || clientCertificate === null) return;
  const route = await routes.find('certificate', fingerprintOf(clientCertificate));
  if (route.kind === 'found') outcomes.count(seen, true);
}

async function forward(request: DeviceRequest, options: ForwarderOptions, target: Target): Promise<Reply> {
  const deadlineMs = options.now() + request.timeoutMs;
  const hope = options.patience.begin(deadlineMs);
  let redirected = false;
  let sentAgain = false;
  for (;;) {
    const link = await target.next(redirected || sentAgain);
    if ('status' in link) {
      if (link !== notConnected && link !== stalled) return copyOf(link);
      if (await hope(awaitedBy(target))) continue;
      if (link === stalled) options.links.refusedStalled += 1;
      return copyOf(link);
    }
    const result = await send(request, link, Math.max(1, deadlineMs - options.now()));
    if (result.kind === 'answered' && result.status === 421) {
      result.rest?.destroy();
      if (redirected) {
        return refusal(503, 'ERR_ROUTE_UNSETTLED', 'This device is moving to another server instance; retry later.');
      }
      redirected = true;
      target.redirect(ownerOf(result.headers));
    } else if (result.kind === 'not-sent' && (!sentAgain || (await hope(awaitedBy(target))))) {
      sentAgain = true;
      target.redirect(null);
    } else {
      if (result.kind !== 'answered' || result.status >= 500) target.doubt();
      return judge(result);
    }
  }
}

function awaitedBy({ owner }: Target): string[] | null {
  return owner === null ? null : [owner];
}

function send(request: DeviceRequest, link: RouterLink, timeoutMs: number): Promise<Exchange> {
  const { method, url, headers, body, sender } = request;
  return exchange(link.session, requestHeaders(method, url, headers, sender, body?.length ?? 0), body, timeoutMs);
}

function judge(result: Exchange): Reply {
  switch (result.kind) {
    case 'answered':
      return {
        status: result.status,
        headers: responseHeaders(result.headers),
        body: result.body,
        rest: result.rest,
      };
    case 'not-sent':
      return refusal(
        503,
        'ERR_NOT_CONNECTED',
        'The server instance disconnected before it accepted the request; retry later.',
      );
    case 'unsendable':
      return refusal(400, 'ERR_BAD_REQUEST', 'The request has a header that cannot be forwarded.');
    case 'ambiguous':
      return refusal(
        503,
        'ERR_ANSWER_LOST',
        'The connection to the server instance broke; whether it processed the request is unknown.',
      );
    case 'late':
      return refusal(503, 'ERR_DEADLINE', 'The server instance did not answer in time.');
  }
}

function tokenTarget(token: string, { links, routes }: ForwarderOptions): Target {
  let owner: string | null = null;
  const linkOf = (route: Route) => {
    if (route.kind !== 'found') return undefined;
    owner = route.identifier;
    return links.get(owner);
  };
  return {
    get owner() {
      return owner;
    },
    next: async () => {
      let route: Route = routes.remembered('token', token) ?? (await routes.find('token', token));
      let link = linkOf(route);
      if (route.kind === 'found' && !link) {
        route = await routes.find('token', token, staleOwnerMs);
        link = linkOf(route);
      }
      if (link) return link;
      if (route.kind === 'found' && links.isStalled(route.identifier)) return stalled;
      return route.kind === 'unknown' ? unknownDevice : notConnected;
    },
    redirect: (owner) => routes.learn(token, owner),
    doubt: () => routes.forget(token, staleOwnerMs),
  };
}

/** Writing an answer adds headers to it, so the shared one must not be used directly. */
function copyOf(reply: Reply): Reply {
  return { ...reply, headers: { ...reply.headers } };
}

function ownerOf(headers: IncomingHttpHeaders): string | null {
  const owner = identifierShape.safeParse(headers['bramble-owner']);
  return owner.success ? owner.data : null;
}

const unknownDevice = refusal(400, 'ERR_UNKNOWN_DEVICE', 'No device of this domain has this address.');
