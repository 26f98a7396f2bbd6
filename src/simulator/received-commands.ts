/**
 * What a device does with the commands that it receives: it carries them out, puts them off, fails, or falls silent.
 *
 * Invariant: a command is executed once; when it is sent again, its answer is the remembered one.
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
import type { DevicePlan } from './fleet-plan.ts';
import type { AnswerStatus, JournalEvent } from './journal.ts';
import { oddContent } from './odd-answer.ts';
import { profileFacts } from './profile-facts.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface CommandSurroundings {
  readonly plan: DevicePlan;
  readonly random: SeededRandom;
  behaviour(): Behaviour;
  /** A command has just been received; true: fall silent now. */
  vanishesWithCommand(): boolean;
  /** The device's enrolment profile is to be installed again. `crashed`: it died, and gives no answer. */
  renewIdentity(commandUuid: string, profile: Uint8Array): Promise<Execution | 'crashed'>;
  journal(event: JournalEvent): void;
}

export interface Answer {
  readonly commandUuid: string;
  readonly requestType: string;
  readonly status: AnswerStatus;
  readonly body: Buffer;
  /** Sent at least once without its reply having arrived. */
  sentBefore: boolean;
  readonly leaves: boolean;
}

interface ReceivedCommands {
  /**
   * Executes the command in the reply, unless it already has. `unanswerable`: there is none that could be answered;
   * `silent`: the device gives no answer, and remembers nothing of it, so the server has to send it again.
   */
  take(reply: Buffer): Promise<Answer | 'unanswerable' | 'silent'>;
}

/** How many answers a device remembers; an older command that is sent again is executed again. */
const rememberedAnswers = 2000;

export function createReceivedCommands(memory: DeviceMemory, around: CommandSurroundings): ReceivedCommands {
  const { plan, random } = around;
  const answered = new BoundedMap<string, Answer>(rememberedAnswers);

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

  const take = async (reply: Buffer): Promise<Answer | 'unanswerable' | 'silent'> => {
    const command = receivedCommand(reply);
    if ('malformed' in command) {
      const { commandUuid, malformed } = command;
      around.journal({ event: 'trouble', message: malformed });
      if (commandUuid === undefined) return 'unanswerable';
      const execution = { status: 'CommandFormatError', content: {}, effects: [] } as const;
      return answerTo({ commandUuid, requestType: '' }, execution);
    }
    const { commandUuid, requestType } = command;
    const earlier = answered.get(commandUuid.toLowerCase());
    if (earlier !== undefined) {
      around.journal({ event: 'told-again', commandUuid, requestType });
      return earlier;
    }
    around.journal({ event: 'told', commandUuid, requestType, ...toldProfile(command) });
    // Silent before execution: the server has to send it again.
    if (around.vanishesWithCommand() && random.chance(0.5)) return 'silent';
    const behaviour = around.behaviour();
    const urgent = isUrgent(requestType);
    if (!urgent && random.chance(behaviour.notNowProbability)) {
      around.journal({ event: 'executed', commandUuid, requestType, status: 'NotNow' });
      return answerTo(command, { status: 'NotNow', content: {}, effects: [] });
    }
    const execution =
      !urgent && random.chance(behaviour.errorProbability)
        ? failed(12_080, 'The device could not carry the command out just now')
        : await execute(command);
    // Nothing is remembered of it: the server has to send it again.
    if (execution === 'crashed') return 'silent';
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
    answered.set(commandUuid.toLowerCase(), answer);
    return answer;
  };

  const execute = async (command: Command): Promise<Execution | 'crashed'> => {
    const profile = command.fields['Payload'];
    const { enrolmentProfile } = memory;
    const renews = toldProfile(command).profile?.identifier === enrolmentProfile && enrolmentProfile !== undefined;
    if (!renews || !(profile instanceof Uint8Array)) return executeCommand(command, plan, memory);
    return await around.renewIdentity(command.commandUuid, profile);
  };

  return { take };
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
