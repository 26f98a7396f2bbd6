/** Listening sockets from the supervisor that has adopted this process: it is asked in a line, and offers them as processes do. */
import type net from 'node:net';
import { basename, join } from 'node:path';
import { closed, offeredShape, runFolder, sendLine } from './adoption-messages.ts';
import type { SocketGiver } from './own-process.ts';
import { receiveSocket } from './socket-reception.ts';

interface AdopterSockets extends SocketGiver {
  /** Handles a line from the supervisor. */
  take(line: unknown): void;
}

export function adopterSockets(
  connection: net.Socket,
  home: string,
  hands: readonly string[] | undefined,
): AdopterSockets {
  const leaving = new AbortController();
  void closed(connection).then(() => leaving.abort(new Error('the supervisor is gone')));
  let onOffer: (folder: string) => void = () => undefined;
  return {
    hands,
    gone: leaving.signal,
    take: (line) => {
      const offered = offeredShape.safeParse(line);
      if (offered.success) onOffer(offered.data.folder);
    },
    give: async (name, signal) => {
      signal.throwIfAborted();
      const folder = await new Promise<string>((resolve, reject) => {
        onOffer = resolve;
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        sendLine(connection, { type: 'want-socket', name });
      });
      const handle = await receiveSocket(join(runFolder(home), basename(folder)), name, connection, signal);
      if (handle === null) throw new Error('the supervisor did not hand the socket over');
      if (signal.aborted) handle.close();
      signal.throwIfAborted();
      return handle;
    },
  };
}
