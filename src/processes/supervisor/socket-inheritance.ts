/**
 * A listening socket of a process that was not started by this supervisor. Where none comes, routers are stopped and the
 * port is bound anew.
 */
import path from 'node:path';
import { runFolder } from '../../process/adoption-messages.ts';
import { receiveSocket } from '../../process/socket-reception.ts';
import type { AdoptedProcess } from './adopted-process.ts';
import { heldSocket, type ListeningSocket } from './listening-socket.ts';

const timeoutMs = 15_000;

/** The listening socket of an adopted process; null when it has none or does not offer it now. */
export async function inheritSocket(
  name: ListeningSocket['name'],
  holder: AdoptedProcess,
  home: string,
  signal: AbortSignal,
): Promise<ListeningSocket | null> {
  const soon = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const offer = await holder.offeredSockets(soon);
  if (offer === null || !offer.names.includes(name)) return null;
  const folder = path.join(runFolder(home), path.basename(offer.folder));
  const handle = await receiveSocket(folder, name, holder.connection, soon).catch(() => null);
  return handle === null ? null : heldSocket(name, handle);
}
