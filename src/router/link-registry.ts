/**
 * The links in service, by identifier.
 *
 * Invariant: at most one link an identifier, and a link whose session is closing is not handed out.
 */
import type { ClientHttp2Session } from 'node:http2';
import type { Hello } from '../link/messages.ts';

export interface RouterLink {
  readonly identifier: string;
  readonly kind: 'server' | 'connection';
  readonly hello: Hello;
  readonly session: ClientHttp2Session;
  /** Serial number of the SRP certificate, as Node prints it. */
  readonly serial: string;
  readonly linkVersion: number;
  readonly sinceMs: number;
  /** Links of this identifier before this one, since the router started. */
  readonly reconnects: number;
}

export class LinkRegistry {
  readonly #links = new Map<string, RouterLink>();
  readonly #counts = new Map<string, number>();
  readonly #onChange: () => void;
  #turn = 0;

  constructor(onChange: () => void = () => undefined) {
    this.#onChange = onChange;
  }

  /** How often this identifier was linked before. */
  linkedBefore(identifier: string): number {
    return this.#counts.get(identifier) ?? 0;
  }

  add(link: RouterLink): void {
    this.#links.set(link.identifier, link);
    this.#counts.set(link.identifier, this.linkedBefore(link.identifier) + 1);
    this.#onChange();
  }

  /** Takes the link out, unless a later one of its identifier stands there already. */
  remove(link: RouterLink): boolean {
    if (this.#links.get(link.identifier) !== link) return false;
    this.#links.delete(link.identifier);
    this.#onChange();
    return true;
  }

  /** The link in service; requests may be sent on its session. */
  get(identifier: string): RouterLink | undefined {
    const link = this.#links.get(identifier);
    return link && usable(link) ? link : undefined;
  }

  all(): RouterLink[] {
    return [...this.#links.values()].filter(usable);
  }

  /** Server instances, beginning with another one each time. */
  servers(): RouterLink[] {
    const servers = this.all().filter(({ kind }) => kind === 'server');
    this.#turn = servers.length === 0 ? 0 : (this.#turn + 1) % servers.length;
    return [...servers.slice(this.#turn), ...servers.slice(0, this.#turn)];
  }
}

function usable(link: RouterLink): boolean {
  return !link.session.closed && !link.session.destroyed;
}
