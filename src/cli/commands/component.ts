/** `bramble component`, `bramble features`. */
import type { Command } from 'commander';
import { type ComponentView, componentOperations } from '../../api/components.ts';
import { timeText } from '../../base/time-text.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns, facts, type Style } from '../text-output.ts';
import { addRemoval } from './removal.ts';

export function addComponentCommands(program: Command, frame: Frame): void {
  const components = program.command('component').alias('components').description('running processes of the domain');
  addList(components, frame);
  addRemoval(components, frame, {
    usage: 'forget <name>',
    description: 'forget a component that is gone for good, so that it no longer holds features back',
    operation: componentOperations.forget,
    done: (name) => `The component ${name} is forgotten.`,
    example: 'bramble component forget berlin-1',
  });
  addFeatures(program, frame);
}

function addList(components: Command, frame: Frame): void {
  example(
    components
      .command('list')
      .description('list every registered component, absent ones included')
      .action(async (_flags: object, command) => {
        await frame.ask(command, componentOperations.list, {}, (answer, style) =>
          componentTable(answer.components, style),
        );
      }),
    'bramble component list',
  );
}

function addFeatures(program: Command, frame: Frame): void {
  example(
    program
      .command('features')
      .description('features, and which components hold each one back')
      .action(async (_flags: object, command) => {
        await frame.ask(command, componentOperations.listFeatures, {}, ({ featureLevel, features }, style) => {
          const rows = columns(style, features, {
            feature: (row) => row.name,
            active: (row) => cell(row.active),
            'held back by': (row) => cell(row.lockedBy),
            'what it does': (row) => row.summary,
          });
          return `${facts(style, [['feature level', featureLevel]])}\n${rows}`;
        });
      }),
    'bramble features',
  );
}

export function componentTable(components: readonly ComponentView[], style: Style): string {
  return columns(style, components, {
    component: (row) => row.name,
    kind: (row) => row.kind,
    release: (row) => row.release,
    host: (row) => row.host,
    process: (row) => String(row.processId),
    state: (row) => stateText(row, style),
    since: (row) => timeText(row.alive ? row.startedAt : row.stoppedAt),
  });
}

function stateText({ alive, stoppedAt }: ComponentView, style: Style): string {
  if (alive) return style.green('running');
  return stoppedAt === null ? style.red('absent') : style.yellow('stopped');
}
