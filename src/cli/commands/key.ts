/** `bramble key`: the master keys. */
import type { Command } from 'commander';
import { type MasterKeyList, masterKeyOperations } from '../../api/master-keys.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { columns, type Style } from '../text-output.ts';

export function addKeyCommands(program: Command, frame: Frame): void {
  const keys = program.command('key').description('the master keys, under which the database holds its secrets');
  example(
    keys
      .command('list')
      .description('list the keys, what each seals, and what a rotation waits for')
      .action(async (_flags: object, command) => {
        await frame.ask(command, masterKeyOperations.list, {}, keysText);
      }),
    'bramble key list',
  );
  example(
    keys
      .command('rotate')
      .description('make a new key; once every process holds it, it seals, and everything is sealed again by it')
      .option('--silent-hosts', 'also while a host that joined does not report: it is offered the new key', false)
      .action(async ({ silentHosts }: { silentHosts: boolean }, command) => {
        await frame.ask(command, masterKeyOperations.rotate, { body: { silentHosts } }, keysText);
      }),
    'bramble key rotate',
  );
  example(
    confirmable(keys.command('prune'))
      .description('remove the keys that seal nothing any more; earlier backups of the database still need them')
      .action(async (flags: { yes?: true }, command) => {
        if (!flags.yes) {
          await confirm(
            frame,
            'Remove the keys that seal nothing? Backups of the database from before still need them.',
          );
        }
        await frame.ask(command, masterKeyOperations.prune, {}, ({ removed, waitsFor }) =>
          [
            removed.length === 0 ? 'No key was removed: each seals something.' : `Removed: ${removed.join(', ')}.`,
            ...(waitsFor.length === 0 ? [] : [stillHeld(waitsFor)]),
          ].join('\n'),
        );
      }),
    'bramble key prune',
  );
}

/** Names of processes with their hosts. */
function stillHeld(waitsFor: readonly string[]): string {
  return `The files of other homes follow. Not known to have removed the keys yet: ${waitsFor.join(', ')}.`;
}

function keysText({ state, next, waitsFor, keys }: MasterKeyList, style: Style): string {
  const list = columns(style, keys, {
    key: (row) => row.id,
    role: (row) => (row.seals ? 'seals' : row.id === next ? 'next' : row.inFile ? 'opens' : style.red('missing')),
    values: (row) => String(row.values),
    where: (row) => row.places.map(({ place, count }) => `${place} ${count}`).join(', ') || '-',
  });
  if (state === 'settled') {
    const after = waitsFor.length > 0 ? stillHeld(waitsFor) : completeText(keys);
    return after === undefined ? list : `${list}\n\n${after}`;
  }
  const what =
    state === 'begun'
      ? 'The next key seals once every process holds it.'
      : 'What other keys sealed is being sealed again.';
  const waiting = waitsFor.length === 0 ? '' : ` Waiting for: ${waitsFor.join(', ')}.`;
  return `${list}\n\n${what}${waiting}\n${goesOn}`;
}

const goesOn =
  'It goes on by itself, as `bramble key list` shows. Back up keys/master.json now: values are sealed by the new key from then on.';

/** After a rotation, until the former keys are removed. */
function completeText(keys: MasterKeyList['keys']): string | undefined {
  const former = keys.filter(({ seals, inFile }) => inFile && !seals);
  if (former.length === 0 || former.some(({ values }) => values > 0)) return undefined;
  return (
    'The rotation is complete: one key seals everything. Once keys/master.json is backed up, `bramble key prune` removes ' +
    `${former.map(({ id }) => id).join(', ')}.`
  );
}
