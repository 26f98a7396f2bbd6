/** What the wave that is under way waits for. */
import { counted } from '../../base/counted.ts';
import { endWithin } from '../state/schedule-windows.ts';
import { holdsUp, outOfReachFollows, outOfReachText } from '../waves/out-of-reach-rule.ts';
import { later, leftText, type Wait, type WaitFacts, type WaveFacts, wait } from './wait.ts';

export function waveWaits(facts: WaitFacts): Wait[] {
  const wave = facts.waves.find(({ state }) => state !== 'passed');
  if (facts.state !== 'moving' || wave === undefined) return [];
  const named = `wave ${wave.number} (${wave.name})`;
  const waits: Wait[] = [];
  if (wave.outOfReach > 0) waits.push(outOfReachWait(facts, wave));
  if (wave.state === 'soaking') {
    const until = later(wave.soakingAt, facts.soakSeconds);
    const isOver = until !== null && until <= facts.now;
    if (!isOver && !wave.accepted)
      waits.push(
        wait('soak', `${named} is being observed${leftText(facts.now, until)}`, { since: wave.soakingAt, until }),
      );
    if (wave.gateLacks.length > 0) {
      const why = `${named} is undecided: ${lacksText(wave)}`;
      const command =
        'bramble upgrade resume --accept-gate to take responsibility yourself, or bramble upgrade reverse';
      waits.push(wait('gate', why, { since: wave.soakingAt, who: wave.withoutDevices, command }));
    }
  } else if (!facts.inPlace && wave.startedAt !== null && wave.settled + wave.outOfReach < wave.accounts) {
    const until = deadlineOf(wave, facts, facts.waveDeadlineSeconds);
    const why = `${wave.settled} of ${counted(wave.accounts, 'account')} of ${named} settled; the upgrade pauses at the deadline`;
    waits.push(wait('wave', why, { since: wave.startedAt, until, who: wave.open, command: 'bramble deliveries' }));
  }
  return waits;
}

/** A number of requests that is needed says nothing where there is nobody to send one. */
function lacksText({ withoutDevices, gateLacks }: WaveFacts): string {
  return withoutDevices.length === 0
    ? gateLacks.join('; ')
    : 'its gate has nothing to judge by, since none of its accounts has a device';
}

function outOfReachWait(facts: WaitFacts, wave: WaveFacts): Wait {
  const { now, outOfReachRule: rule } = facts;
  const text = outOfReachText(wave.outOfReach, wave);
  if (wave.state === 'soaking')
    return wait('out-of-reach', `${text}: ${outOfReachFollows({ ...rule, outOfReach: 'leave' }, null)}`, {
      command: 'bramble deliveries',
    });
  const deadline = rule.outOfReach === 'wait' ? null : deadlineOf(wave, facts, rule.outOfReachSeconds);
  const until = deadline !== null && deadline > now ? deadline : null;
  const command = `bramble deliveries${holdsUp(rule) ? '; bramble upgrade set --out-of-reach leave' : ''}`;
  return wait('out-of-reach', `${text}: ${outOfReachFollows(rule, until)}`, { until, command });
}

/** It does not run while no window is open. */
function deadlineOf({ runningSince }: WaveFacts, { windows }: WaitFacts, seconds: number): Date | null {
  return (runningSince && endWithin(windows, runningSince, seconds)) ?? null;
}
