/**
 * The certificates of routers on this host, if it joined: asked for in the database with the host's key, and renewed, also when
 * another domain authority issues by now. On a host that
 * did not join, the home has them already, and an administration service there renews them.
 *
 * Invariants: a router's key is made once, before it is asked for (`request.json`), and stays with the router. `router.json` is
 * replaced as a whole. Whatever was interrupted is taken up by the next look: the same request keeps its answer.
 */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { messageOf } from '../../base/errors.ts';
import { readPresent } from '../../base/present-file.ts';
import { type Database, openDatabase } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { isUndefinedTable } from '../../database/sql-state.ts';
import { writeWholeFile } from '../../database/whole-file.ts';
import { hasJoined, readHostKey } from '../../hosts/host-key.ts';
import { hostTrust } from '../../hosts/host-trust.ts';
import { envelopeShape } from '../../link/messages.ts';
import {
  isRouterCertificateDue,
  isTrustingRouterFile,
  type RouterFile,
  readRouterFile,
  routerFilePath,
  routerFolder,
  trustingRouterFile,
} from '../../link/router-file.ts';
import { signEnvelope } from '../../link/signed-envelope.ts';
import { issuerAmong, type Trust } from '../../link/trusted-authorities.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { knownPorts } from '../../routers/router-addresses.ts';
import type { RouterRequest } from '../../routers/router-request.ts';
import { readRouterAnswer, storeRouterRequest } from '../../routers/router-request-store.ts';
import type { OnEvent } from './events.ts';
import type { ListeningSocket } from './listening-socket.ts';

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

/** What must survive an interruption: the request names this key. */
export const pendingRouterShape = z.object({ privateKeyPem: z.string(), srpPort: z.number(), envelope: envelopeShape });
type Pending = z.output<typeof pendingRouterShape>;

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

  const isMissing = (router: string) => !existsSync(routerFilePath(home, router));
  const pendingFile = (router: string) => path.join(routerFolder(home, router), 'request.json');

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
    const file = isMissing(router) ? null : await readRouterFile(routerFilePath(home, router));
    const trust = await hostTrust(db, await ownKey());
    const due =
      file === null || isRouterCertificateDue(file.certificatePem, await databaseTime(db)) || isOfFormer(file, trust);
    if (!due && !isTrustingRouterFile(file, trust)) await write(router, file, trust);
    if ((!due && knownPort === srpPort) || performance.now() < (notBeforeMs.get(router) ?? 0)) return;
    const pending = await pendingOf(router, file, srpPort);
    if (!(await storeRouterRequest(db, router, pending.envelope))) return;
    const answer = await answerTo(db, router, pending);
    if (answer.kind === 'open' || answer.kind === 'gone') return;
    if (answer.kind === 'certificate') {
      await take(router, pending, answer.certificatePem, trust);
      told.delete(router);
      onEvent({ type: 'router-certified', name: router });
    } else {
      notBeforeMs.set(router, performance.now() + afterRefusalMs);
      tell(router, answer.reason);
    }
    await rm(pendingFile(router), { force: true });
    if (file === null && answer.kind === 'certificate') onReady();
  }

  async function answerTo(db: Database, router: string, { envelope }: Pending) {
    const deadline = performance.now() + answerWithinMs;
    for (;;) {
      const answer = await readRouterAnswer(db, router, envelope);
      if (answer.kind !== 'open' || performance.now() > deadline) return answer;
      await delay(answerLookMs, undefined, { ref: false });
    }
  }

  async function take(router: string, { privateKeyPem }: Pending, certificatePem: string, trust: Trust): Promise<void> {
    const certificate = new X509Certificate(certificatePem);
    if (!certificate.checkPrivateKey(createPrivateKey(privateKeyPem))) {
      throw new TypeError(`the certificate that was issued for ${router} is for another key`);
    }
    if (issuerAmong(certificate, trust.authorities) === null) {
      throw new TypeError(`the certificate for ${router} was issued by none of the domain’s authorities`);
    }
    await write(router, { certificatePem, privateKeyPem, domainAuthorityPem: '' }, trust);
  }

  async function write(router: string, file: RouterFile, trust: Trust): Promise<void> {
    const text = `${JSON.stringify(trustingRouterFile(file, trust), null, 2)}\n`;
    await writeWholeFile(routerFilePath(home, router), text, 'w');
  }

  /** The request under way, or a new one. */
  async function pendingOf(router: string, present: RouterFile | null, srpPort: number): Promise<Pending> {
    const under = pendingRouterShape.safeParse(jsonOf(await readPresent(pendingFile(router))));
    if (under.success && under.data.srpPort === srpPort) return under.data;
    const privateKeyPem =
      present?.privateKeyPem ??
      (under.success ? under.data.privateKeyPem : privateKeyPemOf((await createEcKeyPair()).privateKey));
    const request: RouterRequest = {
      ...{ router, host, srpPort, publicPort: portOf('public') },
      listenAddress: sockets[0]?.address ?? '',
      publicKey: spkiDerOf(createPublicKey(privateKeyPem)).toString('base64'),
    };
    const pending: Pending = {
      ...{ privateKeyPem, srpPort },
      envelope: signEnvelope(request, (await ownKey()).privateKeyPem),
    };
    await mkdir(routerFolder(home, router), { recursive: true, mode: 0o700 });
    await writeWholeFile(pendingFile(router), `${JSON.stringify(pending, null, 2)}\n`, 'w');
    return pending;
  }

  async function ownKey() {
    const key = await readHostKey(home);
    if (key === null) throw new TypeError('the key of this host is gone');
    return key;
  }

  function portOf(name: ListeningSocket['name']): number {
    return sockets.find((socket) => socket.name === name)?.port ?? 0;
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

function isOfFormer({ certificatePem }: RouterFile, { authorities, issues }: Trust): boolean {
  return issues !== null && issuerAmong(new X509Certificate(certificatePem), authorities) !== issues;
}

function jsonOf(text: string | null): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
