/**
 * Passes listening sockets to a process that is neither parent nor child of this one. Node.js sends a socket only over an
 * IPC channel, and any connected Unix socket is one for a process started with it (NODE_CHANNEL_FD). So a short-lived
 * process is started for each connection: it inherits the connection and the listening socket, sends the one over the
 * other, and ends.
 *
 * Invariant: nothing is accepted on the way; the socket and its queue stay the same throughout.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { basename, join } from 'node:path';
import { socketPath } from '../base/socket-path.ts';
import { offerFolderPrefix } from './adoption-messages.ts';

export interface SocketOffer {
  /** In the folder of running processes, named after this one; it has a Unix socket for each name. */
  readonly folder: string;
  readonly names: readonly string[];
  close(): Promise<void>;
}

/** `net._createServerHandle` takes a descriptor without listening on it, as Node's own cluster module does. */
const senderProgram = `
  const handle = require('node:net')._createServerHandle(null, null, 'tcp', 4);
  if (typeof handle === 'number') process.exit(1);
  process.on('disconnect', () => process.exit());
  setTimeout(() => process.exit(1), 30000).unref();
  process.send({ type: 'socket' }, handle);`;

/**
 * Listens below `runFolder`, once for each socket, and sends it to everyone who connects there.
 * @param sockets their descriptors, read anew for each connection
 */
export async function offerSockets(
  runFolder: string,
  sockets: () => ReadonlyMap<string, number>,
): Promise<SocketOffer> {
  const names = [...sockets().keys()];
  const folder = await mkdtemp(join(runFolder, offerFolderPrefix(process.pid)));
  const closing: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const closeOne of closing) await closeOne();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    for (const name of names) {
      const server = net.createServer({ pauseOnConnect: true }, (connection) =>
        sendOver(connection, sockets().get(name)),
      );
      const at = await socketPath(folder, name);
      closing.push(async () => {
        server.close();
        await at.close();
      });
      server.listen(at.path);
      await once(server, 'listening');
      // A connection that is not accepted (no descriptors) ends, and its process tries again.
      server.on('error', () => undefined);
      server.unref();
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { folder: basename(folder), names, close };
}

function sendOver(connection: net.Socket, descriptor: number | undefined): void {
  connection.on('error', () => undefined);
  if (descriptor === undefined) return void connection.destroy();
  // Once started, the sender has its own descriptor; if it cannot be started, the end of the connection shows that.
  const done = () => void connection.destroy();
  try {
    spawn(process.execPath, ['--input-type=commonjs', '-e', senderProgram], {
      stdio: ['ignore', 'ignore', 'inherit', connection, descriptor],
      env: { PATH: process.env['PATH'], NODE_CHANNEL_FD: '3' },
    })
      .on('error', done)
      .once('spawn', done);
  } catch {
    done();
  }
}
