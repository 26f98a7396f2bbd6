/**
 * The links in service, by identifier.
 *
 * Invariant: at most one link per identifier, and nothing new is sent over a link that is closing or stalled; a stalled
 * one stays up, with its requests under way.
 */
import type { X509Certificate } from 'node:crypto';
import type { ClientHttp2Session } from 'node:http2';
import type { Hello } from '../../link/messages.ts';

export interface RouterLink {
  readonly identifier: string;
  readonly kind: 'server' | 'connection';
  readonly hello: Hello;
  readonly session: ClientHttp2Session;
  /** Serial number of the SRP certificate, as Node prints it. */
  readonly serial: string;
  /** The SRP certificate. */
  readonly certificate: X509Certificate;
  readonly linkVersion: number;
  readonly sinceMs: number;
  /** Links of this identifier before this one, since the router started. */
  readonly reconnects: number;
  /** It does not answer pings at the moment. */
  stalled: boolean;
}

export class LinkRegistry {
  readonly #links = new Map<string, RouterLink>();
  readonly #counts = new Map<string, number>();
  readonly #greatestVersions = new Map<string, number>();
  /** Since when a link that was in service is not, or is stalled. */
  readonly #awaySince = new Map<string, number>();
  readonly #now: () => number;
  #change = Promise.withResolvers<void>();
  #turn = 0;
  /** Requests answered 503 so far because their owner's link was stalled, for the metrics. */
  refusedStalled = 0;

  /** @param now milliseconds, never falling */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How often this identifier was linked before. */
  linkedBefore(identifier: string): number {
    return this.#counts.get(identifier) ?? 0;
  }

  /** The highest link version that this identifier has ever used with this router; 0 for none. */
  greatestVersion(identifier: string): number {
    return this.#greatestVersions.get(identifier) ?? 0;
  }

  add(link: RouterLink): void {
    const { identifier, linkVersion } = link;
    this.#greatestVersions.set(identifier, Math.max(linkVersion, this.greatestVersion(identifier)));
    this.#links.set(link.identifier, link);
    this.#counts.set(link.identifier, this.linkedBefore(link.identifier) + 1);
    this.#awaySince.delete(link.identifier);
    this.#changed();
  }

  /** Removes the link, unless a later one of the same identifier has already replaced it. */
  remove(link: RouterLink): boolean {
    if (this.#links.get(link.identifier) !== link) return false;
    this.#links.delete(link.identifier);
    this.expect([link.identifier]);
    this.#changed();
    return true;
  }

  /** They were linked until now, at this router or at the one before it. */
  expect(identifiers: readonly string[]): void {
    for (const identifier of identifiers) this.#awaySince.set(identifier, this.#now());
  }

  stall(link: RouterLink): void {
    link.stalled = true;
    this.expect([link.identifier]);
  }

  recover(link: RouterLink): void {
    link.stalled = false;
    this.#awaySince.delete(link.identifier);
    this.#changed();
  }

  /** Whether requests may be sent over its link, or could until `withinMs` ago. */
  isExpected(identifier: string, withinMs: number): boolean {
    // A link that is closing has not ended.
    if (this.#links.get(identifier)?.stalled === false) return true;
    const sinceMs = this.#awaySince.get(identifier);
    return sinceMs !== undefined && this.#now() - sinceMs < withinMs;
  }

  isAnyServerExpected(withinMs: number): boolean {
    const known = [...this.#links.keys(), ...this.#awaySince.keys()];
    return known.some((identifier) => identifier.startsWith('S') && this.isExpected(identifier, withinMs));
  }

  /** Resolves when a link came, went or answers again, and after `withinMs` at the latest. */
  async changed(withinMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    await Promise.race([this.#change.promise, late]).finally(() => clearTimeout(timer));
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** The link that new requests may be sent over. */
  get(identifier: string): RouterLink | undefined {
    const link = this.standing(identifier);
    return link?.stalled ? undefined : link;
  }

  /** The current link, stalled or not. */
  standing(identifier: string): RouterLink | undefined {
    const link = this.#links.get(identifier);
    return link && stands(link) ? link : undefined;
  }

  /** Whether nothing is sent over it because it is stalled. */
  isStalled(identifier: string): boolean {
    return this.standing(identifier)?.stalled === true;
  }

  /** All current links, stalled or not. */
  all(): RouterLink[] {
    return [...this.#links.values()].filter(stands);
  }

  /** Server instances that may be asked, starting with a different one each time. */
  servers(): RouterLink[] {
    const servers = this.all().filter(({ kind, stalled }) => kind === 'server' && !stalled);
    this.#turn = servers.length === 0 ? 0 : (this.#turn + 1) % servers.length;
    return [...servers.slice(this.#turn), ...servers.slice(0, this.#turn)];
  }
}

function stands(link: RouterLink): boolean {
  return !link.session.closed && !link.session.destroyed;
}
