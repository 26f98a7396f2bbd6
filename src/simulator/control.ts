/** Lets another process direct the fleet: one JSON object a line in, one JSON object a line out, in the same order. */
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import * as z from 'zod';
import { isBrambleError, messageOf } from '../base/errors.ts';
import type { Fleet } from './fleet.ts';

const probability = z.number().min(0).max(1).optional();
const names = z.array(z.string());

const controlCommand = z.discriminatedUnion('do', [
  /** `devices`: how many, or which. `moment: with-command`: only when next told a command, which then stays unanswered. */
  z.object({
    do: z.literal('vanish'),
    devices: z.union([z.int().min(1), names]),
    moment: z.enum(['now', 'with-command']).optional(),
    forMs: z.number().positive().optional(),
  }),
  z.object({ do: z.literal('come-back'), devices: names.optional() }),
  z.object({ do: z.literal('probe'), accounts: names, pauseMs: z.number().min(0).optional() }),
  z.object({ do: z.literal('unprobe'), accounts: names.optional() }),
  z.object({
    do: z.literal('tunnel'),
    target: z.string(),
    device: z.string().optional(),
    /** Of one account. */
    account: z.string().optional(),
    count: z.int().min(1).optional(),
  }),
  z.object({ do: z.literal('close-tunnels') }),
  z.object({
    do: z.literal('activate'),
    account: z.string(),
    password: z.string(),
    platform: z.enum(['apple', 'agent']).optional(),
  }),
  z.object({
    do: z.literal('behave'),
    devices: names.optional(),
    authenticateProbability: probability,
    renewalErrorProbability: probability,
    renewalIgnoredProbability: probability,
    renewalCrashProbability: probability,
    notNowProbability: probability,
    errorProbability: probability,
    oddAnswerProbability: probability,
    lostReplyProbability: probability,
    vanishProbability: probability,
    vanishForMs: z.number().min(0).optional(),
    contactIntervalMs: z.number().min(1).optional(),
    wakeJitterMs: z.number().min(0).optional(),
    notNowForMs: z.number().min(0).optional(),
  }),
  z.object({ do: z.literal('push-faults'), tooManyRequests: probability, unavailable: probability }),
  z.object({ do: z.literal('check-out'), devices: names }),
  z.object({ do: z.literal('renew-push-token'), devices: names }),
  z.object({ do: z.literal('devices') }),
  z.object({ do: z.literal('export'), file: z.string() }),
  z.object({ do: z.literal('stats') }),
  z.object({ do: z.literal('stop') }),
]);
type ControlCommand = z.infer<typeof controlCommand>;

interface ControlSurroundings {
  readonly fleet: Fleet;
  exportDevices(file: string): Promise<number>;
}

/** Carries one command out. @returns what the answer holds beside `done` */
async function executeControlCommand(
  command: ControlCommand,
  { fleet, exportDevices }: ControlSurroundings,
): Promise<object> {
  switch (command.do) {
    case 'vanish':
      return { devices: fleet.vanish(command.devices, command.moment, command.forMs) };
    case 'come-back':
      return { devices: fleet.comeBack(command.devices) };
    case 'probe':
      return { devices: fleet.probe(command.accounts, command.pauseMs) };
    case 'unprobe':
      fleet.unprobe(command.accounts);
      return {};
    case 'tunnel':
      return {
        tunnels: await Promise.all(
          tunnelDevices(command, fleet).map((device) => fleet.openTunnel(device, command.target)),
        ),
      };
    case 'close-tunnels':
      fleet.closeTunnels();
      return {};
    case 'activate': {
      const { account, password, platform } = command;
      return fleet.activate({ account, password, ...(platform === undefined ? {} : { platform }) });
    }
    case 'behave': {
      const { do: _, devices, ...change } = command;
      fleet.setBehaviour(
        Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)),
        devices,
      );
      return {};
    }
    case 'push-faults':
      fleet.push.faults.tooManyRequests = command.tooManyRequests ?? 0;
      fleet.push.faults.unavailable = command.unavailable ?? 0;
      return {};
    case 'check-out':
      await fleet.checkOut(command.devices);
      return {};
    case 'renew-push-token':
      await fleet.renewPushTokens(command.devices);
      return {};
    case 'devices':
      return { devices: fleet.devices() };
    case 'export':
      return { devices: await exportDevices(command.file) };
    case 'stats':
      await fleet.flushJournal();
      return { stats: fleet.stats() };
    case 'stop':
      return {};
  }
}

function tunnelDevices(command: Extract<ControlCommand, { do: 'tunnel' }>, fleet: Fleet): string[] {
  if (command.device !== undefined) return [command.device];
  return fleet
    .devices()
    .filter((device) => device.state === 'managed' && !device.vanished)
    .filter((device) => command.account === undefined || device.account === command.account)
    .slice(0, command.count ?? 1)
    .map(({ name }) => name);
}

/**
 * Reads commands until `stop` or the end of the input. A malformed or failed command is answered
 * `{"done":false,"code","message"}`; everything else `{"done":true,"do",...}`.
 */
export async function followControl(input: Readable, output: Writable, around: ControlSurroundings): Promise<void> {
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  try {
    for await (const line of lines) {
      if (line.trim() === '') continue;
      try {
        const command = controlCommand.parse(JSON.parse(line));
        output.write(
          `${JSON.stringify({ done: true, do: command.do, ...(await executeControlCommand(command, around)) })}\n`,
        );
        if (command.do === 'stop') return;
      } catch (error) {
        const code = isBrambleError(error) ? error.code : 'ERR_SIMULATOR_COMMAND';
        output.write(`${JSON.stringify({ done: false, code, message: messageOf(error) })}\n`);
      }
    }
  } finally {
    lines.close();
  }
}
