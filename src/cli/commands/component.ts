/** `bramble component`, `bramble features`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { example, type Frame } from '../frame.ts';
import { cell, facts, type Style, table, timeText } from '../text-output.ts';
import { addRemoval } from './removal.ts';

export const component = z.object({
  name: z.string(),
  kind: z.string(),
  host: z.string(),
  processId: z.number(),
  release: z.string(),
  alive: z.boolean(),
  startedAt: z.string(),
  stoppedAt: z.string().nullable(),
});

export function addComponentCommands(program: Command, frame: Frame): void {
  const components = program.command('component').alias('components').description('running processes of the domain');
  example(
    components
      .command('list')
      .description('list every registered component, absent ones included')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/components',
          shape: z.object({ components: z.array(component) }),
          text: (answer, style) => componentTable(answer.components, style),
        });
      }),
    'bramble component list',
  );
  addRemoval(components, frame, {
    usage: 'forget <name>',
    description: 'forget a component that is gone for good, so that it holds no feature back',
    path: '/components',
    done: (name) => `The component ${name} is forgotten.`,
    example: 'bramble component forget berlin-1',
  });

  example(
    program
      .command('features')
      .description('features, and which components hold each one back')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/features',
          shape: z.object({
            featureLevel: z.string(),
            features: z.array(
              z.object({ name: z.string(), summary: z.string(), active: z.boolean(), lockedBy: z.array(z.string()) }),
            ),
          }),
          text: (answer, style) =>
            `${facts(style, [['feature level', answer.featureLevel]])}\n${table(
              style,
              ['feature', 'active', 'held back by', 'what it does'],
              answer.features.map((row) => [row.name, cell(row.active), cell(row.lockedBy), row.summary]),
            )}`,
        });
      }),
    'bramble features',
  );
}

export function componentTable(components: readonly z.output<typeof component>[], style: Style): string {
  return table(
    style,
    ['component', 'kind', 'release', 'host', 'process', 'state', 'since'],
    components.map((row) => [
      row.name,
      row.kind,
      row.release,
      row.host,
      String(row.processId),
      row.alive ? style.green('at work') : row.stoppedAt === null ? style.red('absent') : style.yellow('stopped'),
      timeText(row.alive ? row.startedAt : row.stoppedAt),
    ]),
  );
}
