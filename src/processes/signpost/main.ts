/**
 * The signpost: answers at the console's address of a host while an upgrade is steered from another one and no administration
 * service is to run here. It says from where, to programs and to an open page alike.
 *
 * Invariant: it knows nothing of the domain but that host's name: it has no address of the database and no keys.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import { problemMediaType } from '../../api/shapes.ts';
import { BrambleError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import type { ConsoleCertificate } from '../../component/console-certificate.ts';
import { serveConsole } from '../../component/console-listener.ts';
import type { ConsoleSettings } from '../../process/configuration.ts';
import { readEnvironment } from '../../process/environment.ts';
import { createLogger } from '../../process/log/logger.ts';
import { aborted, openSupervision } from '../../process/supervision.ts';
import { wantedSockets } from '../../process/wanted-sockets.ts';
import { consoleFolders } from '../../release/console-folders.ts';
import { thisRelease } from '../../release/this-release.ts';
import { createConsoleServer } from '../../rest/console-server.ts';
import { problemOf } from '../../rest/problem.ts';

const kind = 'signpost';
const settingsShape = z.looseObject({ steeredFrom: z.string().min(1) });
const retryAfterSeconds = 5;

/** Runs until SIGTERM, SIGINT or a while without a supervisor. @throws BrambleError ERR_ENVIRONMENT */
export async function runSignpost(): Promise<void> {
  const environment = readEnvironment(process.env, settingsShape);
  const { release } = thisRelease;
  const log = createLogger({ kind, name: environment.name, release, level: environment.logLevel });
  const sockets = wantedSockets(environment);
  const own = { kind, release, databaseUrl: undefined, log };
  const stop = openSupervision({
    ...{ ...environment, ...own },
    ...{ sockets: sockets.descriptors, onAdopted: sockets.adoptedBy },
  });
  const app = { routing: pointTo(environment.settings.steeredFrom) };
  const folders = () => consoleFolders(environment.home);
  const server = ({ names }: ConsoleSettings, certificate: ConsoleCertificate | null) =>
    createConsoleServer({ app, folders, names, certificate, servedBy: kind });
  try {
    stop.announceReady();
    await Promise.all([serveConsole({ environment, log, sockets }, server, stop.signal), aborted(stop.signal)]);
  } finally {
    sockets.release();
    await stop.release();
  }
}

function pointTo(host: string) {
  const fenced = new BrambleError(
    'ERR_RELEASE_FENCED',
    `The domain is being upgraded, which is steered from the host ${host}. No administration service is at work on this host ` +
      'until the upgrade has brought it one: ask there.',
    { details: { steeredFrom: host, retryAfterSeconds } },
  );
  return ({ url = '' }: IncomingMessage, response: ServerResponse): void => {
    // By which a program sees that it has come to a service of a domain, and goes on to ask.
    if (/^\/healthz(?:\?|$)/.test(url)) return void answer(response, 200, 'application/json', { status: 'ok' });
    const problem = problemOf(fenced, newId<string>());
    response.setHeader('retry-after', retryAfterSeconds);
    answer(response, problem.status, problemMediaType, problem);
  };
}

function answer(response: ServerResponse, status: number, type: string, body: object): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}
