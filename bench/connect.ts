/**
 * `bench connect`: how many Idle connects a second an MDM server answers, beside what a bare `node:http` server does with
 * the same bytes from the same driver in the same run.
 *
 *   bench connect --target URL --devices N --connections C --seconds S --file devices.json [--identity header|signature]
 *
 * The devices come from a file that `bramble simulate --export-devices FILE` writes. With `header`, the certificate goes
 * into an RFC 9440 `Client-Cert` header, which a server believes only from a proxy it trusts (an instance's loopback
 * port); with `signature`, each body carries `Mdm-Signature`, made once beforehand.
 */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type ConnectTarget, type DriveResult, driveConnects } from './connect-driver.ts';

export { driveConnects };

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

/** The bytes of one Idle connect. */
export function connectRequest(device: BenchDevice, host: string, identity: ConnectIdentity): Buffer {
  const body = Buffer.from(device.idleBody, 'base64');
  const head = [
    `PUT ${new URL(device.serverUrl).pathname} HTTP/1.1`,
    `Host: ${host}`,
    'Content-Type: application/x-apple-aspen-mdm',
    `Content-Length: ${body.length}`,
    identity === 'header' ? `Client-Cert: :${device.certificate}:` : `Mdm-Signature: ${device.idleSignature}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}

export interface BenchOptions {
  readonly target: URL;
  readonly devices: readonly BenchDevice[];
  readonly identity: ConnectIdentity;
  readonly connections: number;
  readonly durationMs: number;
  readonly caPem?: string;
}

/** Drives the reference first, then the target, over as many connections for as long. */
export async function benchConnect(options: BenchOptions): Promise<ConnectReport> {
  const { target, identity, connections, durationMs } = options;
  const requests = options.devices.map((device) => connectRequest(device, target.host, identity));
  const common = { requests, connections, durationMs, warmUpMs: Math.min(2000, durationMs / 4) };
  const reference = await withReference(async (port) => {
    const bare = { host: '127.0.0.1', port, tls: false };
    // The driver itself has to be warm before either is measured, or whoever comes first looks slow.
    await driveConnects({ ...common, warmUpMs: 0, durationMs: Math.min(1000, durationMs / 2), target: bare });
    return driveConnects({ ...common, target: bare });
  });
  const result = await driveConnects({
    ...common,
    target: targetOf(target),
    ...(options.caPem === undefined ? {} : { caPem: options.caPem }),
  });
  return {
    identity,
    devices: requests.length,
    connections,
    target: result,
    reference,
    ratio: Math.round((result.perSecond / Math.max(1, reference.perSecond)) * 1000) / 1000,
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

/** Two tables a person can compare. */
export function describeReport(report: ConnectReport): string {
  const line = (name: string, result: DriveResult): string =>
    `${name.padEnd(16)}${String(result.perSecond).padStart(8)}/s   p50 ${result.p50Ms} ms   p99 ${result.p99Ms} ms   max ${result.maxMs} ms   ` +
    `status ${JSON.stringify(result.statuses)}${result.withBody > 0 ? `   with a command ${result.withBody}` : ''}${
      result.broken > 0 ? `   broken connections ${result.broken}` : ''
    }`;
  return [
    `Idle connects of ${report.devices} devices over ${report.connections} connections, identity by ${report.identity}`,
    line('this server', report.target),
    line('bare node:http', report.reference),
    `ratio           ${report.ratio}`,
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

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: args[0] === 'connect' ? args.slice(1) : [...args],
    options: {
      target: { type: 'string' },
      file: { type: 'string', default: 'bench-devices.json' },
      devices: { type: 'string' },
      connections: { type: 'string', default: '64' },
      seconds: { type: 'string', default: '10' },
      identity: { type: 'string', default: 'header' },
      ca: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const identity = z.enum(['header', 'signature']).parse(values.identity);
  const report = await benchConnect({
    target: new URL(z.string('--target URL is needed: the server to drive').parse(values.target)),
    devices: readBenchDevices(values.file, values.devices === undefined ? undefined : Number(values.devices)),
    identity,
    connections: Number(values.connections),
    durationMs: Number(values.seconds) * 1000,
    ...(values.ca === undefined ? {} : { caPem: readFileSync(values.ca, 'utf8') }),
  });
  console.log(values.json ? JSON.stringify(report) : describeReport(report));
}

if (import.meta.main) await main(process.argv.slice(2));
