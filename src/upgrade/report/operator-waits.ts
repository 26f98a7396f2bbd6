/** What an open upgrade waits for that only an operator can give: a decision, or what stopped it. */
import { durationText } from '../../base/time-text.ts';
import { isReversible } from '../state/upgrade-states.ts';
import { type Wait, type WaitFacts, wait } from './wait.ts';

export function operatorWait(facts: WaitFacts): Wait[] {
  const { state, started, stoppedBy, pauseReason, updatedAt: since } = facts;
  if (state === 'paused') {
    const why = `paused: ${pauseReason ?? 'no reason given'}`;
    return [wait('operator', why, { since, command: waysOn(facts) })];
  }
  if (state === 'planned' && !started) {
    const stopped = stoppedBy.length > 0;
    const why = stopped ? `checks stopped the start: ${remedyText(stoppedBy)}` : 'planned, not started';
    const names = stoppedBy.map(({ name }) => name);
    const overridable = stopped && stoppedBy.every(isWarning);
    const command = `bramble upgrade start${overridable ? ` --override ${names.join(' ')}` : ''}`;
    return [
      wait('operator', why, { since, who: names, command: stopped ? `bramble upgrade report; ${command}` : command }),
    ];
  }
  if (state === 'soaking' && facts.behind.instances.length === 0) {
    const command = 'bramble upgrade finalize, or bramble upgrade reverse';
    return [wait('operator', decisionText(facts), { since: facts.decisionSince ?? since, command })];
  }
  return [];
}

const isWarning = ({ result }: WaitFacts['stoppedBy'][number]): boolean => result === 'warning';

/** Errors cannot be overridden. */
function remedyText(stoppedBy: WaitFacts['stoppedBy']): string {
  const [warnings, errors] = [stoppedBy.filter(isWarning), stoppedBy.filter((check) => !isWarning(check))].map(
    (checks) => checks.map(({ name }) => name).join(', '),
  );
  if (!errors) return 'fix or override what they found';
  return warnings ? `fix ${errors}; ${warnings} can be overridden` : 'fix what they found';
}

/** For how long the decision is owed, and what nobody can have before it. */
function decisionText({ now, decisionSince, lockedFeatures }: WaitFacts): string {
  const passed =
    decisionSince === null
      ? 'all waves have passed'
      : `all waves passed ${durationText(Math.max(0, now.getTime() - decisionSince.getTime()) / 1000)} ago`;
  const locked = lockedFeatures.length === 0 ? '' : `, and features stay locked: ${lockedFeatures.join(', ')}`;
  return `${passed}; an operator must finalize or reverse the upgrade. Until then no other upgrade can be planned${locked}`;
}

/** The ways out of a pause, without those that would be refused. */
function waysOn({ pausedFrom, pauseCause }: Pick<WaitFacts, 'pausedFrom' | 'pauseCause'>): string {
  if (pausedFrom !== null && !isReversible(pausedFrom)) return 'bramble upgrade resume';
  if (pauseCause === 'failed-moves') {
    return 'bramble upgrade report; bramble upgrade retry to have only these moved again, or bramble upgrade reverse';
  }
  if (pauseCause !== 'gate') return 'bramble upgrade resume, or bramble upgrade reverse';
  return (
    'bramble upgrade report, and the logs of the new instances (BRAMBLE_HOME/logs); then bramble upgrade resume to ' +
    'have it judged again, bramble upgrade resume --accept-gate to take responsibility yourself, or bramble ' +
    'upgrade reverse'
  );
}

/** Finalizing is refused, or goes no further, until they have moved. */
