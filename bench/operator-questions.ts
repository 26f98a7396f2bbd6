/**
 * What an operator asks while a domain is at work, and how long each answer takes: nothing of it may be felt to grow with the
 * domain.
 */
import { accountOperations } from '../src/api/accounts.ts';
import { deliveryOperations } from '../src/api/deliveries.ts';
import { deviceOperations } from '../src/api/devices.ts';
import { domainOperations } from '../src/api/domain.ts';
import { instanceOperations } from '../src/api/instances.ts';
import { moveOperations } from '../src/api/moves.ts';
import { upgradeOperations } from '../src/api/upgrade.ts';
import type { RunningDomain } from '../test/harness/domain.ts';

/** Milliseconds of each answer: in the middle, and the longest. */
export type AnswerTimes = Readonly<Record<string, { middle: number; most: number }>>;

const timesAsked = 5;

export async function askAsOperator({ api }: RunningDomain): Promise<AnswerTimes> {
  const account = 'person-1';
  const questions: Readonly<Record<string, () => Promise<unknown>>> = {
    'upgrade status': () => api.call(upgradeOperations.show, {}),
    'upgrade report': () => api.call(upgradeOperations.report, {}),
    status: () => api.call(domainOperations.status, {}),
    'account list': () => api.call(accountOperations.list, { query: {} }),
    'account list --instance': () => api.call(accountOperations.list, { query: { instance: 'server-2' } }),
    'account show': () => api.call(accountOperations.show, { params: { name: account } }),
    'device list': () => api.call(deviceOperations.list, { query: {} }),
    'device list --account': () => api.call(deviceOperations.list, { query: { account } }),
    'instance list': () => api.call(instanceOperations.list, {}),
    deliveries: () => api.call(deliveryOperations.list, { query: {} }),
    'move list': () => api.call(moveOperations.list, {}),
  };
  const times: Record<string, { middle: number; most: number }> = {};
  for (const [name, ask] of Object.entries(questions)) {
    const taken: number[] = [];
    for (let time = 0; time < timesAsked; time++) {
      const began = performance.now();
      await ask();
      taken.push(Math.round(performance.now() - began));
    }
    taken.sort((a, b) => a - b);
    times[name] = { middle: taken[Math.floor(timesAsked / 2)] ?? 0, most: taken.at(-1) ?? 0 };
  }
  return times;
}

export function describeAnswers(times: AnswerTimes): string {
  return Object.entries(times)
    .map(([name, { middle, most }]) => `${name} ${middle} (${most})`)
    .join(', ');
}
