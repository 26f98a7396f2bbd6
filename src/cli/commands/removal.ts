/** Commands that take one named thing away and are answered with nothing. */
import type { Command } from 'commander';
import * as z from 'zod';
import { example, type Frame, segment } from '../frame.ts';

export interface Removal {
  /** With its argument, such as `forget <name>`. */
  usage: string;
  description: string;
  /** Below /api/v1; the name follows. */
  path: string;
  done: (name: string) => string;
  example: string;
}

export function addRemoval(parent: Command, frame: Frame, removal: Removal): void {
  example(
    parent
      .command(removal.usage)
      .description(removal.description)
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'DELETE',
          path: `${removal.path}/${segment(name)}`,
          shape: z.null(),
          text: () => removal.done(name),
        });
      }),
    removal.example,
  );
}
