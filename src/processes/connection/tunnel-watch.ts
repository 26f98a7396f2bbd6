/**
 * Re-checks the rights of open tunnels: one query about all of them every few seconds.
 *
 * Invariant: a tunnel lasts at most seconds after losing its right, `unconfirmedMs` without an answer, and `maxLifeMs`
 * in all. At most one query is under way; one that is never answered blocks nothing.
 */
import { breakOff } from '../../link/one-way.ts';
import type { OpenTunnel } from './open-tunnel.ts';
import type { TunnelRights } from './tunnel-rights.ts';
import type { RuleRefusal } from './tunnel-rule.ts';

interface TunnelWatchOptions {
  open: ReadonlySet<OpenTunnel>;
  rights: (fingerprints: readonly string[]) => Promise<TunnelRights>;
  judge: (tunnel: OpenTunnel, rights: TunnelRights) => RuleRefusal | null;
  recheckMs: number;
  unconfirmedMs: number;
  maxLifeMs: number;
  now: () => number;
  onCut: (refusal: RuleRefusal, tunnel: OpenTunnel) => void;
}

interface TunnelWatch {
  readonly cut: number;
  /** A tunnel has opened; the watch rests while there are none. */
  look(): void;
  end(): void;
}

export function watchTunnels(options: TunnelWatchOptions): TunnelWatch {
  const { open, now } = options;
  const confirmedAtMs = new WeakMap<OpenTunnel, number>();
  let timer: NodeJS.Timeout | undefined;
  let asking = false;
  let count = 0;

  function cut(tunnel: OpenTunnel, refusal: RuleRefusal): void {
    if (tunnel.stream.destroyed) return;
    count += 1;
    options.onCut(refusal, tunnel);
    // The stream's close handler resets its connection to the host.
    breakOff(tunnel.stream, refusal.reason);
  }

  async function ask(): Promise<void> {
    const asked = [...open];
    const askedAtMs = now();
    const rights = await options.rights([...new Set(asked.map(({ fingerprint }) => fingerprint))]);
    for (const tunnel of asked) {
      const refusal = options.judge(tunnel, rights);
      if (refusal) cut(tunnel, refusal);
      else confirmedAtMs.set(tunnel, askedAtMs);
    }
  }

  function turn(): void {
    timer = undefined;
    for (const tunnel of open) {
      const age = now() - tunnel.openedAtMs;
      const unconfirmed = now() - (confirmedAtMs.get(tunnel) ?? tunnel.openedAtMs);
      if (age >= options.maxLifeMs) {
        cut(tunnel, { code: 'ERR_TUNNEL_EXPIRED', reason: 'it reached the maximum lifetime of a tunnel' });
      } else if (unconfirmed >= options.unconfirmedMs) {
        cut(tunnel, { code: 'ERR_TUNNEL_UNDECIDED', reason: 'its permission could not be confirmed for too long' });
      }
    }
    if (!asking && open.size > 0) {
      asking = true;
      // The caller's query logs why there is no answer; only the duration matters here.
      void ask().then(
        () => {
          asking = false;
        },
        () => {
          asking = false;
        },
      );
    }
    look();
  }

  function look(): void {
    if (open.size > 0) timer ??= setTimeout(turn, options.recheckMs).unref();
  }

  return {
    get cut() {
      return count;
    },
    look,
    end: () => clearTimeout(timer),
  };
}
