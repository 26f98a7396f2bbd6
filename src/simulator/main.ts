/**
 * `bramble simulate`: a fleet against a running domain. It makes the accounts and their activation passwords, tells the
 * domain where its push service is, activates the devices, and lets them live until it is told to stop.
 */
import { writeFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { accountOperations } from '../api/accounts.ts';
import type { AdministrationClient } from '../api/client.ts';
import { domainOperations } from '../api/domain.ts';
import { pushOperations } from '../api/push.ts';
import { counted } from '../base/counted.ts';
import { type FindAccess, openAdministration } from './administration-access.ts';
import { followControl } from './control.ts';
import { type Fleet, type FleetStats, runFleet } from './fleet.ts';
import { type PlannedDevice, planFleet } from './fleet-plan.ts';
import { pushServiceToRestore, restorePushService } from './push-takeover.ts';

export interface SimulateOptions {
  readonly devices: number;
  readonly accounts: number;
  readonly seed: string;
  readonly findAccess: FindAccess;
  readonly journalPath?: string;
  /** Mean time between a device's own contacts. */
  readonly intervalMs: number;
  readonly pushPort: number;
  readonly durationMs?: number;
  readonly publicUrl?: string;
  readonly tunnelHost?: string;
  /** Trusted by devices that are not enrolled yet. */
  readonly caPem?: string;
  /** Prefix for the names of accounts and devices. */
  readonly prefix: string;
  readonly notNowProbability?: number;
  readonly errorProbability?: number;
  readonly oddAnswerProbability?: number;
  /** Written when all devices are activated, for `bench connect`. */
  readonly exportPath?: string;
  /** Replaces a push service that the domain uses, or another simulator's. */
  readonly replacePush: boolean;
  readonly control: boolean;
  readonly json: boolean;
}

interface SimulateStreams {
  readonly input: Readable;
  readonly output: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly errors: Writable;
}

interface SimulateResult extends FleetStats {
  readonly seed: string;
  readonly activationsRefused: number;
}

const maxActivations = 16;
const putBackMs = 30_000;

/**
 * Replaces the domain's push service by its own meanwhile. Runs until the signal is aborted, the duration is over or `stop` came in. With `control` or `json` the output carries
 * JSON lines only: first `{"event":"ready",...}` once the devices are activated, at the end `{"event":"summary",...}`.
 */
export async function simulate(
  options: SimulateOptions,
  streams: SimulateStreams,
  signal: AbortSignal,
): Promise<SimulateResult> {
  const machine = options.control || options.json;
  const say = (text: string): void => {
    (machine ? streams.errors : streams.output).write(`${text}\n`);
  };
  say(`Seed ${options.seed} (repeat it with --seed for the same fleet).`);
  const administration = openAdministration(options.findAccess, signal);
  const pushBefore = await pushServiceToRestore(administration, options.replacePush);
  const planned = planFleet(options.seed, options.devices, options.accounts, options.prefix);
  const byAccount = Map.groupBy(planned, ({ account }) => account);
  await createAccounts(administration, [...byAccount.keys()], say);
  const { domain } = await administration.call(domainOperations.status, {});
  const { publicUrl = domain.publicUrl, tunnelHost = domain.tunnelHost } = options;

  const fleet = await runFleet(
    {
      seed: options.seed,
      publicUrl,
      pushPort: options.pushPort,
      behaviour: {
        contactIntervalMs: options.intervalMs,
        ...(options.notNowProbability === undefined ? {} : { notNowProbability: options.notNowProbability }),
        ...(options.errorProbability === undefined ? {} : { errorProbability: options.errorProbability }),
        ...(options.oddAnswerProbability === undefined ? {} : { oddAnswerProbability: options.oddAnswerProbability }),
      },
      tunnelHost,
      ...(options.caPem === undefined ? {} : { caPem: options.caPem }),
      ...(options.journalPath === undefined ? {} : { journalPath: options.journalPath }),
    },
    signal,
  );
  try {
    const { url, caPem } = fleet.push;
    await administration.call(pushOperations.replace, { body: { url, caPem } });
    say(`The domain now wakes all its devices through ${fleet.push.url} of this simulator, until it ends.`);
    fleet.start();
    const activationsRefused = await activateAll(administration, fleet, [...byAccount.values()], say, signal);
    const exportDevices = async (file: string): Promise<number> => {
      const exported = fleet.exportDevices();
      await writeFile(file, JSON.stringify(exported), { mode: 0o600 });
      return exported.length;
    };
    if (options.exportPath !== undefined) await exportDevices(options.exportPath);
    const managed = fleet.stats().devices.managed;
    if (machine)
      writeLine(streams.output, { event: 'ready', devices: managed, activationsRefused, push: fleet.push.url });
    else
      say(
        `${counted(managed, 'device')} of ${counted(byAccount.size, 'account')} ${managed === 1 ? 'is' : 'are'} managed by ${publicUrl}.`,
      );

    await untilOver(options, fleet, streams, signal, exportDevices);
    const result = { seed: options.seed, activationsRefused, ...fleet.stats() };
    if (machine) writeLine(streams.output, { event: 'summary', ...result });
    else say(describe(result));
    return result;
  } finally {
    // The signal of the run may have been aborted: this is done anyway, for a limited time.
    const late = AbortSignal.timeout(putBackMs);
    const closing = openAdministration(options.findAccess, late);
    say(await restorePushService(closing, fleet.push.url, pushBefore, late));
    await fleet.stop();
  }
}

/**
 * Devices of one account in sequence: an account has one activation password at a time.
 * @returns how many were not activated; fewer are tried when the signal is aborted meanwhile
 */
async function activateAll(
  administration: AdministrationClient,
  fleet: Fleet,
  accounts: readonly (readonly PlannedDevice[])[],
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<number> {
  let refused = 0;
  try {
    await forEachAtOnce(accounts, maxActivations, async (devices) => {
      for (const { account, plan } of devices) {
        const request = { params: { name: account } };
        const { password } = await administration.call(accountOperations.setActivationPassword, request);
        const result = await fleet.activate({ account, password, plan });
        if (result.outcome === 'enrolled') continue;
        refused += 1;
        say(`${result.device} was not activated: ${result.code ?? result.reason ?? `status ${result.httpStatus}`}`);
      }
    });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return refused;
}

/** In one import, so that the same accounts in the same domain always get the same instances. Existing ones stay. */
async function createAccounts(
  administration: AdministrationClient,
  names: readonly string[],
  say: (text: string) => void,
): Promise<void> {
  const lines = names.map((name) => Buffer.from(`${JSON.stringify({ name })}\n`));
  const { skipped } = await administration.upload(accountOperations.import, ReadableStream.from(lines));
  const [first] = skipped;
  if (first) say(`${skipped.length} of ${names.length} accounts were not created. ${first.name}: ${first.reason}.`);
}

async function untilOver(
  options: SimulateOptions,
  fleet: Fleet,
  streams: SimulateStreams,
  signal: AbortSignal,
  exportDevices: (file: string) => Promise<number>,
): Promise<void> {
  const over = Promise.withResolvers<void>();
  const finish = (): void => over.resolve();
  signal.addEventListener('abort', finish, { once: true });
  if (signal.aborted) finish();
  const deadline = options.durationMs === undefined ? undefined : setTimeout(finish, options.durationMs);
  const live = !options.control && !options.json && streams.output.isTTY === true;
  const display = live
    ? setInterval(
        () => streams.output.write(`\r\u001b[K${oneLine(fleet.stats()).slice(0, widthOf(streams.output))}`),
        500,
      )
    : undefined;
  // Without an end of its own a fleet that nobody can reach would live on: the end of the input stops it too.
  if (options.control) followControl(streams.input, streams.output, { fleet, exportDevices }).then(finish, over.reject);
  try {
    await over.promise;
  } finally {
    clearTimeout(deadline);
    clearInterval(display);
    signal.removeEventListener('abort', finish);
    if (live) streams.output.write('\n');
  }
}

/** A line that reaches the last column moves the cursor to the next one, and could not be drawn over. */
function widthOf(output: { readonly columns?: number }): number {
  return (output.columns ?? 80) - 1;
}

function oneLine(stats: FleetStats): string {
  return (
    `${stats.devices.managed} managed  ${stats.vanished} silent  requests ${stats.requestsSent} ` +
    `(${stats.requestsFailed} failed)  commands ${stats.commandsExecuted}  repeated ${stats.toldAgain}  woken ` +
    `${stats.woken}  tunnels ${stats.tunnelsOpen}`
  );
}

function describe(stats: SimulateResult): string {
  const failures = Object.entries(stats.failedByClass).map(([name, count]) => `${name} ${count}`);
  return [
    `devices     ${stats.devices.managed} managed, ${stats.devices.left} left, ${stats.lostDevices} unenrolled by ` +
      'an answer',
    `requests    ${stats.requestsSent} sent, ${stats.requestsSentAgain} sent again, ${stats.requestsFailed} failed${failures.length === 0 ? '' : ` (${failures.join(', ')})`}`,
    `commands    ${stats.commandsTold} received, ${stats.commandsExecuted} executed, ${stats.notNow} not now, ` +
      `${stats.toldAgain} repeated`,
    `answers     ${stats.answersAccepted} accepted, ${stats.pendingAnswers} not accepted yet`,
    `profiles    ${stats.profilesInstalled} installed`,
    `tunnels     ${stats.tunnelsOpened} opened, ${stats.tunnelsRefused} refused, ${stats.tunnelsBroken} broken`,
    `wakes       ${stats.woken}`,
  ].join('\n');
}

function writeLine(output: Writable, value: object): void {
  output.write(`${JSON.stringify(value)}\n`);
}

async function forEachAtOnce<Item>(items: readonly Item[], atOnce: number, use: (item: Item) => Promise<void>) {
  const waiting = items.values();
  const work = async (): Promise<void> => {
    for (const item of waiting) await use(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, work));
}
