/**
 * The request for a router's certificate that is under way, in the router's folder: `request.json`.
 *
 * Invariant: a router's key is made once, before it is asked for, and stays with the router. Whatever was interrupted is taken up
 * by the next look: the same request keeps its answer.
 */
import { createPublicKey } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { readPresent } from '../../base/present-file.ts';
import { jsonOrUndefined } from '../../base/shallow-json.ts';
import { writeWholeFile } from '../../database/whole-file.ts';
import { envelopeShape } from '../../link/messages.ts';
import { routerFolder } from '../../link/router-file.ts';
import { signEnvelope } from '../../link/signed-envelope.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import type { RouterRequest } from '../../routers/router-request.ts';

/** What must survive an interruption: the request names this key. */
export const pendingRouterShape = z.object({ privateKeyPem: z.string(), srpPort: z.number(), envelope: envelopeShape });
export type PendingRouter = z.output<typeof pendingRouterShape>;

const fileOf = (home: string, router: string) => path.join(routerFolder(home, router), 'request.json');

/** The request under way, or a new one. @param keys the host's, and that of a router which has a certificate already */
export async function pendingRouter(
  home: string,
  asked: Omit<RouterRequest, 'publicKey'>,
  keys: { hostKeyPem: string; presentKeyPem: string | undefined },
): Promise<PendingRouter> {
  const { router, srpPort } = asked;
  const under = pendingRouterShape.safeParse(jsonOrUndefined((await readPresent(fileOf(home, router))) ?? ''));
  if (under.success && under.data.srpPort === srpPort) return under.data;
  const privateKeyPem =
    keys.presentKeyPem ?? under.data?.privateKeyPem ?? privateKeyPemOf((await createEcKeyPair()).privateKey);
  const publicKey = spkiDerOf(createPublicKey(privateKeyPem)).toString('base64');
  const request: RouterRequest = { ...asked, publicKey };
  const pending: PendingRouter = { privateKeyPem, srpPort, envelope: signEnvelope(request, keys.hostKeyPem) };
  await mkdir(routerFolder(home, router), { recursive: true, mode: 0o700 });
  await writeWholeFile(fileOf(home, router), `${JSON.stringify(pending, null, 2)}\n`, 'w');
  return pending;
}

/** It was answered. */
export async function dropPendingRouter(home: string, router: string): Promise<void> {
  await rm(fileOf(home, router), { force: true });
}
