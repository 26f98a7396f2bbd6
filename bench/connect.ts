/**
 * How many Idle connects a second an MDM server answers, beside what a bare `node:http` server does with the same bytes
 * from the same driver in the same run.
 *
 * The devices come from a file that `bramble simulate --export-devices FILE` writes. With `header`, the certificate goes
 * into an RFC 9440 `Client-Cert` header, which a server believes only from a proxy it trusts (an instance's loopback
 * port); with `signature`, each body carries `Mdm-Signature`, made once beforehand.
 */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { type ConnectTarget, type DriveResult, driveConnects } from './connect-driver.ts';

export { type DriveResult, driveConnects };

/** What the preparation step writes for each device. */
const benchDevice = z.object({
  udid: z.string().min(1),
  /** The whole address that the device was enrolled with; its path is used against any target. */
  serverUrl: z.url(),
  /** Base64 of the DER certificate. */
  certificate: z.base64().min(1),
  /** The Idle plist, base64. */
  idleBody: z.base64().min(1),
  /** Base64 of the detached CMS over the Idle plist. */
  idleSignature: z.base64().min(1),
});
export type BenchDevice = z.infer<typeof benchDevice>;

export type ConnectIdentity = 'header' | 'signature';

export interface ConnectReport {
  readonly identity: ConnectIdentity;
  readonly devices: number;
  readonly connections: number;
  readonly target: DriveResult;
  readonly reference: DriveResult;
  /** Target's rate over the reference's. */
  readonly ratio: number;
}

/** The bytes of one Idle connect, at the path that the device was enrolled with, or at `path`. */
export function connectRequest(device: BenchDevice, host: string, identity: ConnectIdentity, path?: string): Buffer {
  const body = Buffer.from(device.idleBody, 'base64');
  const head = [
    `PUT ${path ?? new URL(device.serverUrl).pathname} HTTP/1.1`,
    `Host: ${host}`,
    'Content-Type: application/x-apple-aspen-mdm',
    `Content-Length: ${body.length}`,
    identity === 'header' ? `Client-Cert: :${device.certificate}:` : `Mdm-Signature: ${device.idleSignature}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}

export interface BenchOptions {
  /** A path in it is used for all devices; without one each comes at the path that it was enrolled with. */
  readonly target: URL;
  readonly devices: readonly BenchDevice[];
  readonly identity: ConnectIdentity;
  readonly connections: number;
  readonly durationMs: number;
  readonly caPem?: string;
  /** See DriveOptions. */
  readonly everyMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Drives the reference first, then the target, over as many connections for as long.
 * @throws Error where an answer was not what is measured, an empty 200
 */
export async function benchConnect(options: BenchOptions): Promise<ConnectReport> {
  const reference = await driveReference(options);
  const target = await driveTarget(options);
  assertServed('the target', target);
  const { identity, connections, devices } = options;
  return { identity, devices: devices.length, connections, target, reference, ratio: ratioOf(target, reference) };
}

/** The bare server, in a process of its own. */
export async function driveReference(options: Omit<BenchOptions, 'target' | 'caPem'>): Promise<DriveResult> {
  return await withReference(async (port) => {
    const target = { host: '127.0.0.1', port, tls: false };
    const common = { ...driveOptions(options, `127.0.0.1:${port}`), target };
    // The driver itself has to be warm before either is measured, or whoever comes first looks slow.
    await driveConnects({ ...common, warmUpMs: 0, durationMs: Math.min(1000, options.durationMs / 2) });
    return await driveConnects(common);
  });
}

export async function driveTarget(options: BenchOptions): Promise<DriveResult> {
  const { target } = options;
  const path = target.pathname === '/' && target.search === '' ? undefined : target.pathname + target.search;
  return await driveConnects({
    ...driveOptions(options, target.host, path),
    target: targetOf(target),
    ...(options.caPem === undefined ? {} : { caPem: options.caPem }),
  });
}

/** A figure counts only when every answer was an empty 200. @throws Error that says what came instead */
export function assertServed(name: string, result: DriveResult): void {
  const others = Object.keys(result.statuses).filter((status) => status !== '200');
  if (result.requests > 0 && others.length === 0 && result.withBody === 0 && result.broken === 0) return;
  throw new Error(`${name}: the figure does not count, not every answer was an empty 200: ${JSON.stringify(result)}`);
}

/** Three digits. */
export function ratioOf(target: DriveResult, reference: DriveResult): number {
  return Math.round((target.perSecond / Math.max(1, reference.perSecond)) * 1000) / 1000;
}

function driveOptions(
  { devices, identity, connections, durationMs, everyMs, signal }: Omit<BenchOptions, 'target'>,
  host: string,
  path?: string,
) {
  const requests = devices.map((device) => connectRequest(device, host, identity, path));
  return {
    ...{ requests, connections, durationMs, warmUpMs: Math.min(2000, durationMs / 4) },
    ...(everyMs === undefined ? {} : { everyMs }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** Reads and checks the file of devices. @throws ZodError where it is not one */
export function readBenchDevices(path: string, limit?: number): BenchDevice[] {
  return z
    .array(benchDevice)
    .min(1)
    .parse(JSON.parse(readFileSync(path, 'utf8')))
    .slice(0, limit);
}

/** One line of figures. */
export function describeDrive(name: string, result: DriveResult): string {
  const { perSecond, p50Ms, p99Ms, maxMs, statuses, withBody, broken } = result;
  return [
    `${name.padEnd(28)}${String(perSecond).padStart(7)}/s`,
    `p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  max ${maxMs.toFixed(1)} ms`,
    `status ${JSON.stringify(statuses)}`,
    ...(withBody > 0 ? [`with a command ${withBody}`] : []),
    ...(broken > 0 ? [`broken connections ${broken}`] : []),
  ].join('   ');
}

/** Two lines a person can compare. */
export function describeReport(report: ConnectReport): string {
  return [
    `Idle connects of ${report.devices} devices over ${report.connections} connections, identity by ${report.identity}`,
    describeDrive('this server', report.target),
    describeDrive('bare node:http', report.reference),
    `ratio ${report.ratio}`,
  ].join('\n');
}

function targetOf(url: URL): ConnectTarget {
  const tls = url.protocol === 'https:';
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || (tls ? 443 : 80)), tls };
}

async function withReference<Result>(use: (port: number) => Promise<Result>): Promise<Result> {
  const child = fork(new URL('./connect-reference.ts', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  try {
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message) => resolve(z.object({ port: z.number() }).parse(message).port));
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`The reference server ended with ${code} before it listened.`)));
    });
    return await use(port);
  } finally {
    child.disconnect();
  }
}
