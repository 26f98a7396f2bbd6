/** Limits of the HTTP/2 session on the link: both ends are authenticated, and one session carries a whole instance. */
import type { Http2Session } from 'node:http2';

export const linkSessionOptions = {
  // Megabytes. The default of 10 refuses streams as soon as some hundred bodies are under way at once.
  maxSessionMemory: 1024,
  peerMaxConcurrentStreams: 20_000,
  maxHeaderListPairs: 256,
  // Thousands of devices giving up must not look like a reset attack by the router.
  streamResetBurst: 100_000,
  streamResetRate: 20_000,
  // A router of 1.1 passes a device's Host on as it came. nghttp2 counts invalid frames, and at Node's default of 1,000
  // the session of the whole instance would end; instead, each such request is refused on its own.
  maxSessionInvalidFrames: 1_000_000_000,
  settings: { enablePush: false, initialWindowSize: 1024 * 1024, maxConcurrentStreams: 20_000 },
};

/** A window for the whole connection that one busy tunnel cannot fill. */
export function widenWindow(session: Http2Session): void {
  session.setLocalWindowSize(32 * 1024 * 1024);
}
