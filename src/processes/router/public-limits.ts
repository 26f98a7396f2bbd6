/** How much of a router strangers may use up at the public port: the numbers and how they are derived. */
import { totalmem } from 'node:os';
import * as z from 'zod';

const count = z.number().int().min(1).max(1_000_000);

const limitsShape = z.object({
  /** Connections at once, from the first packet on. */
  connections: count,
  /** Unproven connections of one address, while there is little room left. */
  connectionsOfAddress: count,
  /** Connections that proved one identity, tunnels among them. */
  connectionsOfIdentity: count,
  /** Requests under way at once, tunnels that are being opened among them. */
  requests: count,
  /** Of these, the unproven ones of one address, while there is little room left. */
  requestsOfAddress: count,
  /** Of those that proved one identity. */
  requestsOfIdentity: count,
  /** Of one connection, including those whose stream the device has reset. */
  requestsOfConnection: count,
  /** TLS handshakes begun per second; the others wait, and their addresses take turns. */
  handshakesPerSecond: count,
  /** From the first packet of a connection, or its turn for TLS, to the end of its first request. */
  firstRequestMs: count,
  /** A connection without a request. */
  idleMs: count,
  /** Resets, pings and settings of a connection: at once, and a second. */
  controlFrames: count,
  controlFramesPerSecond: count,
});

/** As in the router's settings; omitted ones are derived from the host. */
export const publicLimitsShape = limitsShape.partial();

export type PublicLimits = z.output<typeof limitsShape>;
export type GivenLimits = z.output<typeof publicLimitsShape>;

/** Above this share, little room is left: limits per address apply. */
export const nearlyFull = 0.8;
/** Above this share, requests are accepted only from connections that proved an identity. */
export const keptForProven = 0.9;

interface HostRoom {
  /** File descriptors of this process, at most. */
  files: number;
  memoryBytes: number;
}

// Descriptors that the process itself needs: links, logs, loopback.
const ownFiles = 256;
// Approximate memory of a TLS connection with its HTTP/2 session, and of a request (`smallBodyBytes`).
const connectionBytes = 100 * 1024;
const requestBytes = 64 * 1024;

/** A quarter of the memory for connections, an eighth for requests, and no more connections than descriptors. */
export function publicLimits(room: HostRoom, given: GivenLimits = {}): PublicLimits {
  const byMemory = Math.floor(room.memoryBytes / 4 / connectionBytes);
  const connections = given.connections ?? between(64, Math.min(room.files - ownFiles, byMemory), 100_000);
  const requests = given.requests ?? between(256, Math.floor(room.memoryBytes / 8 / requestBytes), 20_000);
  const defaults: PublicLimits = {
    connections,
    connectionsOfAddress: Math.ceil(connections / 16),
    // A device that uses HTTP/1.1 opens a connection for each tunnel.
    connectionsOfIdentity: Math.min(64, Math.ceil(connections / 8)),
    requests,
    requestsOfAddress: Math.ceil(requests / 16),
    requestsOfIdentity: 128,
    requestsOfConnection: 128,
    // Of 0.8 ms each (EC P-256): less than half of a core.
    handshakesPerSecond: 500,
    firstRequestMs: 30_000,
    idleMs: 600_000,
    controlFrames: 200,
    controlFramesPerSecond: 20,
  };
  const chosen = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(chosen) };
}

function between(least: number, value: number, most: number): number {
  return Math.max(least, Math.min(value, most));
}

const reportShape = z.object({ userLimits: z.object({ open_files: z.object({ soft: z.number() }) }) });

/** What this process may take of its host. */
export function hostLimits(): HostRoom {
  // The only place where Node reports the descriptor limit; without network information it takes milliseconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report = reportShape.safeParse(process.report.getReport());
  const constrained = process.constrainedMemory();
  return {
    files: report.success ? report.data.userLimits.open_files.soft : 1024,
    memoryBytes: constrained > 0 ? Math.min(constrained, totalmem()) : totalmem(),
  };
}
