/** `bramble search`. */
import type { Command } from 'commander';
import { type SearchHit, searchOperations } from '../../api/search.ts';
import { number } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { afterText } from '../paging-words.ts';
import { cell, columns, moreText, type Style } from '../text-output.ts';

export function addSearchCommand(program: Command, frame: Frame): void {
  example(
    program
      .command('search <text>')
      .description('find accounts and devices by the beginning of a name, serial number, UDID or model')
      .option('--after <next>', afterText)
      .option('--limit <number>', 'maximum number of hits', number, 20)
      .action(async (q: string, page: { after?: string; limit: number }, command) => {
        await frame.ask(
          command,
          searchOperations.search,
          { query: { q, ...page } },
          ({ hits, next }, style) => hitTable(hits, style) + moreText(style, '--after', next),
        );
      }),
    'bramble search lovelace',
  );
}

function hitTable(hits: readonly SearchHit[], style: Style): string {
  return columns(style, hits, {
    kind: ({ kind }) => kind,
    account: ({ account }) => account,
    'display name': ({ displayName }) => displayName,
    instance: ({ instance }) => instance,
    device: ({ device }) => cell(device?.id),
    model: ({ device }) => cell(device?.model),
    'serial number': ({ device }) => cell(device?.serialNumber),
    state: ({ device }) => cell(device?.state),
  });
}
