/**
 * One contact: Idle, then command after command until the server has none.
 *
 * A command is executed once. Its answer is kept from then on: until the server has acknowledged it with a 200, it is
 * sent first at every contact, and when the command is sent again it is answered from memory.
 */
import { BoundedMap } from '../base/bounded-map.ts';
import type { Command } from '../protocol/apple/command.ts';
import { serializeConnect } from '../protocol/apple/connect.ts';
import type { Behaviour } from './behaviour.ts';
import {
  type DeviceMemory,
  type Execution,
  executeCommand,
  failed,
  isUrgent,
  receivedCommand,
} from './command-execution.ts';
import type { DeviceLink } from './device-link.ts';
import type { DevicePlan } from './fleet-plan.ts';
import type { AnswerStatus, JournalEvent } from './journal.ts';
import { oddContent } from './odd-answer.ts';
import { profileFacts } from './profile-facts.ts';
import type { SeededRandom } from './seeded-random.ts';

export type SessionOutcome =
  /** `notNow`: that was the last answer, so the device connects again by itself. */
  | { readonly kind: 'finished'; readonly notNow: boolean }
  | { readonly kind: 'failed' }
  /** The device fell silent in the middle. */
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'left' };

export interface SessionSurroundings {
  readonly plan: DevicePlan;
  readonly random: SeededRandom;
  behaviour(): Behaviour;
  /** Asked between two requests; true ends the session without another. */
  isInterrupted(): boolean;
  /** A command has just been received; true: fall silent now. */
  vanishesWithCommand(): boolean;
  /** The device's enrolment profile is to be installed again. `crashed`: it died, and gives no answer. */
  renewIdentity(commandUuid: string, profile: Uint8Array): Promise<Execution | 'crashed'>;
  isProbing(): boolean;
  journal(event: JournalEvent): void;
}

interface Answer {
  readonly commandUuid: string;
  readonly requestType: string;
  readonly status: AnswerStatus;
  readonly body: Buffer;
  /** Sent at least once without its reply having arrived. */
  sentBefore: boolean;
  readonly leaves: boolean;
}

export interface ConnectSession {
  /** One contact to its end. Not to be called while one is under way. */
  run(link: DeviceLink): Promise<SessionOutcome>;
  /** Answers that the server has not acknowledged yet. */
  pendingAnswers(): number;
}

/** How many answers a device remembers; an older command that is sent again is executed again. */
const rememberedAnswers = 2000;

export function createConnectSession(memory: DeviceMemory, around: SessionSurroundings): ConnectSession {
  const { plan, random } = around;
  const pending: Answer[] = [];
  const answered = new BoundedMap<string, Answer>(rememberedAnswers);
  const idleBody = serializeConnect({ status: 'Idle', udid: plan.udid });

  const remember = (answer: Answer): void => {
    answered.set(answer.commandUuid.toLowerCase(), answer);
  };

  const answerTo = (command: Pick<Command, 'commandUuid' | 'requestType'>, execution: Execution): Answer => ({
    commandUuid: command.commandUuid,
    requestType: command.requestType,
    status: execution.status,
    body: serializeConnect({
      status: execution.status,
      udid: plan.udid,
      commandUuid: command.commandUuid,
      ...(execution.error === undefined ? {} : { errorChain: [execution.error] }),
      payload: random.chance(around.behaviour().oddAnswerProbability)
        ? { ...execution.content, ...oddContent(random) }
        : execution.content,
    }),
    sentBefore: false,
    leaves: execution.leaves === true,
  });

  /**
   * Executes the command, unless it already has. @returns false where the reply holds no command that can be answered
   */
  const take = async (reply: Buffer): Promise<boolean> => {
    const command = receivedCommand(reply);
    if ('malformed' in command) {
      const { commandUuid, malformed } = command;
      around.journal({ event: 'trouble', message: malformed });
      if (commandUuid === undefined) return false;
      const execution = { status: 'CommandFormatError', content: {}, effects: [] } as const;
      pending.push(answerTo({ commandUuid, requestType: '' }, execution));
      return true;
    }
    const { commandUuid, requestType } = command;
    const earlier = answered.get(commandUuid.toLowerCase());
    if (earlier !== undefined) {
      around.journal({ event: 'told-again', commandUuid, requestType });
      if (!pending.includes(earlier)) pending.push(earlier);
      return true;
    }
    around.journal({ event: 'told', commandUuid, requestType, ...toldProfile(command) });
    // Silent before execution: the server has to send it again.
    if (around.vanishesWithCommand() && random.chance(0.5)) return true;
    const behaviour = around.behaviour();
    const urgent = isUrgent(requestType);
    if (!urgent && random.chance(behaviour.notNowProbability)) {
      around.journal({ event: 'executed', commandUuid, requestType, status: 'NotNow' });
      pending.push(answerTo(command, { status: 'NotNow', content: {}, effects: [] }));
      return true;
    }
    const execution =
      !urgent && random.chance(behaviour.errorProbability)
        ? failed(12_080, 'The device could not carry the command out just now')
        : await execute(command);
    // Nothing is remembered of it: the server has to send it again.
    if (execution === 'crashed') return true;
    const { status, error } = execution;
    around.journal({
      event: 'executed',
      commandUuid,
      requestType,
      status,
      ...(error === undefined ? {} : { errorCode: error.errorCode }),
    });
    for (const effect of execution.effects) around.journal(effect);
    const answer = answerTo(command, execution);
    remember(answer);
    pending.push(answer);
    return true;
  };

  const execute = async (command: Command): Promise<Execution | 'crashed'> => {
    const profile = command.fields['Payload'];
    const { enrolmentProfile } = memory;
    const renews = toldProfile(command).profile?.identifier === enrolmentProfile && enrolmentProfile !== undefined;
    if (!renews || !(profile instanceof Uint8Array)) return executeCommand(command, plan, memory);
    return await around.renewIdentity(command.commandUuid, profile);
  };

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
        if (outcome.body.length > 0 && !(await take(outcome.body))) return { kind: 'failed' };
      }
      return { kind: 'interrupted' };
    },
  };
}

function toldProfile(command: Command): {
  profile?: ReturnType<typeof profileFacts>;
  profileIdentifier?: string;
} {
  const { Payload: payload, Identifier: identifier } = command.fields;
  if (typeof identifier === 'string') return { profileIdentifier: identifier };
  if (!(payload instanceof Uint8Array)) return {};
  try {
    return { profile: profileFacts(payload) };
  } catch {
    // Executing it will report what is wrong with the profile.
    return {};
  }
}
