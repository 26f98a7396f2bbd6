/**
 * One contact: Idle, then command after command until the server has none.
 *
 * Invariant: an answer is kept until the server has acknowledged it with a 200, and is sent first at every contact.
 */
import { serializeConnect } from '../protocol/apple/connect.ts';
import type { DeviceMemory } from './command-execution.ts';
import type { DeviceLink } from './device-link.ts';
import { type Answer, type CommandSurroundings, createReceivedCommands } from './received-commands.ts';

export type SessionOutcome =
  /** `notNow`: that was the last answer, so the device connects again by itself. */
  | { readonly kind: 'finished'; readonly notNow: boolean }
  | { readonly kind: 'failed' }
  /** The device fell silent in the middle. */
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'left' };

interface SessionSurroundings extends CommandSurroundings {
  /** Asked between two requests; true ends the session without another. */
  isInterrupted(): boolean;
  isProbing(): boolean;
}

export interface ConnectSession {
  /** One contact to its end. Not to be called while one is under way. */
  run(link: DeviceLink): Promise<SessionOutcome>;
  /** Answers that the server has not acknowledged yet. */
  pendingAnswers(): number;
}

export function createConnectSession(memory: DeviceMemory, around: SessionSurroundings): ConnectSession {
  const { plan, random } = around;
  const pending: Answer[] = [];
  const commands = createReceivedCommands(memory, around);
  const idleBody = serializeConnect({ status: 'Idle', udid: plan.udid });

  return {
    pendingAnswers: () => pending.length,
    async run(link) {
      let notNow = false;
      let idled = false;
      while (!around.isInterrupted()) {
        const answer = pending[0];
        if (answer === undefined && idled) return { kind: 'finished', notNow };
        const loseReply = random.chance(around.behaviour().lostReplyProbability);
        const sending = { loseReply, probe: around.isProbing() };
        const again = answer?.sentBefore === true;
        if (answer !== undefined) answer.sentBefore = true;
        const outcome =
          answer === undefined
            ? await link.connect('idle', idleBody, sending)
            : await link.connect('answer', answer.body, { ...sending, answerTo: answer });
        if (outcome.kind === 'unenrolled') return { kind: 'left' };
        if (outcome.kind === 'failed') return { kind: 'failed' };
        idled = true;
        if (answer !== undefined) {
          const { commandUuid, requestType, status } = answer;
          pending.shift();
          notNow = status === 'NotNow';
          around.journal({ event: 'answered', commandUuid, requestType, status, again });
          if (answer.leaves) return { kind: 'left' };
        }
        if (outcome.body.length === 0) continue;
        const taken = await commands.take(outcome.body);
        if (taken === 'unanswerable') return { kind: 'failed' };
        if (taken !== 'silent' && !pending.includes(taken)) pending.push(taken);
      }
      return { kind: 'interrupted' };
    },
  };
}
