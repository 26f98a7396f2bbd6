/**
 * The certificates of routers on this host, if it joined: asked for in the database with the host's key, and renewed, also when
 * another domain authority issues by now. On a host that did not join, the home has them already, and an administration service
 * there renews them.
 */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../base/errors.ts';
import { type Database, openDatabase } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { isUndefinedTable } from '../../database/sql-state.ts';
import { hasJoined, readHostKey } from '../../hosts/host-key.ts';
import { hostTrust } from '../../hosts/host-trust.ts';
import { isTrustingRouterFile, readRouterFile, routerFilePath } from '../../link/router-file.ts';
import { knownPorts } from '../../routers/router-addresses.ts';
import { type RouterAnswer, readRouterAnswer, storeRouterRequest } from '../../routers/router-request-store.ts';
import type { OnEvent } from './events.ts';
import type { ListeningSocket } from './listening-socket.ts';
import { dropPendingRouter, type PendingRouter, pendingRouter } from './pending-router.ts';
import { isRenewalDue, takeRouterCertificate, writeRouterFile } from './router-certificate.ts';

export interface RouterFiles {
  /** Whether a router has its certificate, or nobody here will ask for one. */
  isThere(router: string): boolean;
  /** Looks, at most every ten seconds unless a certificate is missing. Never rejects. */
  look(databaseUrl: string, routers: readonly string[]): void;
}

interface RouterFilesOptions {
  home: string;
  host: string;
  sockets: readonly ListeningSocket[];
  /** A router that was waiting can be started. */
  onReady: () => void;
  onEvent: OnEvent;
}

const lookEveryMs = 10_000;
/** An answer usually comes at once; otherwise the next look takes it. */
const answerWithinMs = 5000;
const answerLookMs = 200;
const afterRefusalMs = 60_000;

export function createRouterFiles({ home, host, sockets, onReady, onEvent }: RouterFilesOptions): RouterFiles {
  /** What was last told of each. */
  const told = new Map<string, string>();
  const notBeforeMs = new Map<string, number>();
  let looking = false;
  let lookAtMs = 0;

  const portOf = (name: ListeningSocket['name']) => sockets.find((socket) => socket.name === name)?.port ?? 0;
  const isMissing = (router: string) => !existsSync(routerFilePath(home, router));

  async function turn(databaseUrl: string, routers: readonly string[]): Promise<void> {
    const applicationName = `bramble/supervisor@${host}#${process.pid}`.slice(0, 63);
    const db = openDatabase(databaseUrl, { applicationName, max: 1 });
    try {
      const known = await knownPorts(db, host);
      for (const router of routers) {
        if (known.has(router)) await keep(db, router, known.get(router) ?? null);
        else if (isMissing(router)) tell(router, 'the domain does not know it as a router of this host');
      }
    } catch (error) {
      // Before an upgrade has expanded the schema, no router is placed here.
      if (!isUndefinedTable(error)) tell('all', messageOf(error));
    } finally {
      await db.end({ timeout: 5 }).catch(() => undefined);
    }
  }

  async function keep(db: Database, router: string, knownPort: number | null): Promise<void> {
    const srpPort = portOf('srp');
    const hostKey = await ownKey();
    const file = isMissing(router) ? null : await readRouterFile(routerFilePath(home, router));
    const trust = await hostTrust(db, hostKey);
    const due = file === null || isRenewalDue(file, trust, await databaseTime(db));
    if (!due && !isTrustingRouterFile(file, trust)) await writeRouterFile(home, router, file, trust);
    if ((!due && knownPort === srpPort) || performance.now() < (notBeforeMs.get(router) ?? 0)) return;
    const listening = { srpPort, publicPort: portOf('public'), listenAddress: sockets[0]?.address ?? '' };
    const keys = { hostKeyPem: hostKey.privateKeyPem, presentKeyPem: file?.privateKeyPem };
    const pending = await pendingRouter(home, { router, host, ...listening }, keys);
    if (!(await storeRouterRequest(db, router, pending.envelope))) return;
    const answer = await answerTo(db, router, pending);
    if (answer.kind === 'open' || answer.kind === 'gone') return;
    if (answer.kind === 'certificate') {
      await takeRouterCertificate(home, router, { ...pending, certificatePem: answer.certificatePem }, trust);
      told.delete(router);
      onEvent({ type: 'router-certified', name: router });
    } else {
      notBeforeMs.set(router, performance.now() + afterRefusalMs);
      tell(router, answer.reason);
    }
    await dropPendingRouter(home, router);
    if (file === null && answer.kind === 'certificate') onReady();
  }

  async function ownKey() {
    const key = await readHostKey(home);
    if (key === null) throw new TypeError('the key of this host is gone');
    return key;
  }

  function tell(name: string, message: string): void {
    if (told.get(name) === message) return;
    told.set(name, message);
    onEvent({ type: 'router-not-certified', name, message });
  }

  return {
    isThere: (router) => !isMissing(router) || !hasJoined(home),
    look(databaseUrl, routers) {
      if (looking || routers.length === 0 || !hasJoined(home)) return;
      if (!routers.some(isMissing) && performance.now() < lookAtMs) return;
      looking = true;
      void turn(databaseUrl, routers).finally(() => {
        looking = false;
        lookAtMs = performance.now() + lookEveryMs;
      });
    },
  };
}

/** Open if it has not come in time. */
async function answerTo(db: Database, router: string, { envelope }: PendingRouter): Promise<RouterAnswer> {
  const deadline = performance.now() + answerWithinMs;
  for (;;) {
    const answer = await readRouterAnswer(db, router, envelope);
    if (answer.kind !== 'open' || performance.now() > deadline) return answer;
    await delay(answerLookMs, undefined, { ref: false });
  }
}
