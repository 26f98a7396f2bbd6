/** Commands that remove one named object, or put it out of use, and return nothing. */
import type { Command } from 'commander';
import type { administratorOperations } from '../../api/administrators.ts';
import type { componentOperations } from '../../api/components.ts';
import type { noticeOperations } from '../../api/notices.ts';
import type { openidProviderOperations } from '../../api/openid-providers.ts';
import type { roleOperations } from '../../api/roles.ts';
import type { tokenOperations } from '../../api/tokens.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';

interface Removal {
  /** With its argument, such as `forget <name>`. */
  usage: string;
  description: string;
  operation:
    | typeof componentOperations.forget
    | typeof noticeOperations.remove
    | typeof roleOperations.remove
    | typeof openidProviderOperations.remove
    | typeof tokenOperations.revoke
    | typeof administratorOperations.remove
    | typeof administratorOperations.disable
    | typeof administratorOperations.enable;
  /** Asked first, where it cannot be undone and somebody loses his way in. */
  question?: (name: string) => string;
  done: (name: string) => string;
  example: string;
}

export function addRemoval(parent: Command, frame: Frame, removal: Removal): void {
  const { question } = removal;
  const added = parent.command(removal.usage);
  example(
    (question === undefined ? added : confirmable(added))
      .description(removal.description)
      .action(async (name: string, { yes }: { yes?: true }, command) => {
        if (question !== undefined && !yes) await confirm(frame, question(name));
        await frame.ask(command, removal.operation, { params: { name } }, () => removal.done(name));
      }),
    removal.example,
  );
}
