/**
 * Hands listening sockets to a process that did not start this one, nor was started by it. Node.js sends a socket over an IPC
 * channel alone, and any connected Unix socket is one for a process that begins with it (NODE_CHANNEL_FD). So for whoever
 * connects, a process of a moment is started between: it inherits the connection and the listening socket, sends the one over
 * the other, and ends.
 *
 * Invariant: nothing accepts on the way; the socket and its queue are the same before, meanwhile and afterwards.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { basename, join } from 'node:path';
import { socketPath } from '../base/socket-path.ts';
import { offerFolderPrefix } from './adoption-messages.ts';

export interface SocketOffer {
  /** Below the folder for running processes, named after the process; in it a Unix socket for each name. */
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
 * @param sockets their descriptors as they are at the moment
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
      // One that is not accepted (no descriptors) has its end, and is followed by another.
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
  // The sender has a descriptor of its own once it is started; where it is not, the end of the connection tells that.
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
