/**
 * The one way in which a process is asked to end: SIGTERM, SIGINT, or the end of the supervisor's IPC channel (so that no
 * process outlives a killed supervisor). The signal's reason says which.
 */

export interface StopRequest {
  /** Aborted when the process is to drain and end; its reason is a string, or the error that forces the end. */
  signal: AbortSignal;
  /** Asks for the end from within. */
  request(reason: unknown): void;
  /** Takes the listeners away again. */
  release(): void;
}

/** Listens to the process's signals and IPC channel until released. */
export function listenForStop(): StopRequest {
  const controller = new AbortController();
  const request = (reason: unknown): void => controller.abort(reason);
  const onTerminate = (): void => request('SIGTERM');
  const onInterrupt = (): void => request('SIGINT');
  const onDisconnect = (): void => request('the supervisor went away');
  process.on('SIGTERM', onTerminate);
  process.on('SIGINT', onInterrupt);
  process.on('disconnect', onDisconnect);
  return {
    signal: controller.signal,
    request,
    release: () => {
      process.off('SIGTERM', onTerminate);
      process.off('SIGINT', onInterrupt);
      process.off('disconnect', onDisconnect);
    },
  };
}

/** Resolves when the signal is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/**
 * Tells the supervisor, where there is one, that the process does its work now. With `yields` it says too that it goes on
 * beside a successor of its name until it is stopped, and that it tells later when devices reach it.
 */
export function announceReady(facts: Readonly<Record<string, unknown>> & { yields?: boolean } = {}): void {
  if (process.connected) process.send?.({ type: 'ready', ...facts });
}

/** Tells the supervisor that devices reach this process: the one that it replaces may end. */
export function announceServing(): void {
  if (process.connected) process.send?.({ type: 'serving' });
}
