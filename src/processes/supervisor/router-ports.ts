/**
 * The ports of a host whose router was removed. Once a router has listened on a socket, connections wait in its queue as long as anybody holds it:
 * for a successor, which does not come here. So the sockets are closed when the last router has ended, devices are refused and turn to
 * another host, and the ports are bound anew when a router is wanted again.
 */
import { isBrambleError, messageOf } from '../../base/errors.ts';
import type { OnEvent } from './events.ts';
import type { ListeningSocket } from './listening-socket.ts';
import type { ProcessSlot } from './process-slot.ts';

export interface RouterPorts {
  /** Whether routers can be started. Otherwise the ports are being bound, and `onOpen` is called once they are. */
  areOpen(): boolean;
  /** No router is wanted. */
  closeUnused(slots: Iterable<ProcessSlot>): void;
}

interface RouterPortsOptions {
  /** Those that routers share; closed ones are taken out. */
  sockets: ListeningSocket[];
  /** Binds those that are missing, into `sockets`. */
  bind: () => Promise<void>;
  onOpen: () => void;
  onEvent: OnEvent;
}

export function createRouterPorts({ sockets, bind, onOpen, onEvent }: RouterPortsOptions): RouterPorts {
  let binding = false;
  return {
    areOpen() {
      if (sockets.length > 0 && !binding) return true;
      if (binding) return false;
      binding = true;
      void bind()
        .finally(() => {
          binding = false;
        })
        .then(onOpen, (error: unknown) => {
          for (const socket of sockets.splice(0)) socket.close();
          const code = isBrambleError(error) ? error.code : 'ERR_LISTEN';
          onEvent({ type: 'refused', name: 'router', code, message: messageOf(error) });
        });
      return false;
    },
    closeUnused(slots) {
      const routers = [...slots].filter((slot) => slot.kind() === 'router');
      if (routers.length === 0 || binding || !routers.every((slot) => slot.isIdle())) return;
      for (const socket of sockets.splice(0)) {
        socket.close();
        onEvent({ type: 'closed', socket: socket.name, port: socket.port });
      }
    },
  };
}
