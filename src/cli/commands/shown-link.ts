/** A one-time code, shown as the address to open with it. */
import type { Command } from 'commander';
import type { administratorOperations } from '../../api/administrators.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { timeText } from '../../base/time-text.ts';
import { homeFolder, resolveAccess } from '../administration-access.ts';
import type { Frame, GlobalFlags } from '../frame.ts';
import { signInLink } from '../sign-in-link.ts';

type Code = AnswerOf<typeof administratorOperations.create>;

export async function showLink(frame: Frame, command: Command, made: Code, who: string): Promise<void> {
  const { urls } = await resolveAccess(command.optsWithGlobals<GlobalFlags>(), frame.environment);
  const url = await signInLink(homeFolder(frame.environment), made.code, urls[0] ?? '');
  const shown = { url, code: made.code, expiresAt: made.expiresAt.toISOString() };
  frame.show(command, shown, () => `${who}, once and until ${timeText(made.expiresAt)}:`);
  if (!frame.wantsJson(command)) frame.print(url);
}
