/** `bramble host` and `bramble join`: further hosts of the domain. */
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { type HostView, hostOperations } from '../../api/hosts.ts';
import { instanceOperations } from '../../api/instances.ts';
import { moveOperations } from '../../api/moves.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { readInputFile } from '../../base/input-file.ts';
import { assertNewFile } from '../../base/output-file.ts';
import { shellWord } from '../../base/shell-word.ts';
import { timeText } from '../../base/time-text.ts';
import { writeWholeFile } from '../../database/whole-file.ts';
import { homeFolder } from '../administration-access.ts';
import { number } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { columns, facts } from '../text-output.ts';

export function addHostCommands(program: Command, frame: Frame): void {
  const hosts = program.command('host').alias('hosts').description('computers on which the domain runs');
  addList(hosts, frame);
  addInvite(hosts, frame);
  addDrain(hosts, frame);
  addRemove(hosts, frame);
  addJoin(program, frame);
}

function addList(hosts: Command, frame: Frame): void {
  example(
    hosts
      .command('list')
      .description('list hosts, with their supervisors and what is to run there')
      .action(async (_flags: object, command) => {
        await frame.ask(command, hostOperations.list, {}, (answer, style) =>
          columns(style, answer.hosts, {
            name: (row) => row.name,
            state: stateText,
            release: (row) => row.release ?? '-',
            'last report': (row) => timeText(row.seenAt),
            processes: (row) => row.processes.map(({ name }) => name).join(', ') || '-',
          }),
        );
      }),
    'bramble host list',
  );
}

function stateText({ state, atWork, invitedUntil, seenAt }: HostView): string {
  if (state === 'awaited') return 'has to join again: `bramble host invite`';
  if (state === 'invited') return `invited until ${timeText(invitedUntil)}`;
  const at = atWork ? 'at work' : seenAt === null && state !== 'first' ? 'joined, not started' : 'silent';
  return state === 'draining' ? `${at}, draining` : at;
}

interface InviteFlags {
  hours: number;
  databaseUrl?: string;
  administration: boolean;
  out?: string;
}

function addInvite(hosts: Command, frame: Frame): void {
  example(
    hosts
      .command('invite <name>')
      .description(
        'invite a computer to join the domain as a further host of this name; prints one line for `bramble join` there, which is a secret',
      )
      .option('--hours <number>', 'how long the invitation is valid', number, 24)
      .option(
        '--database-url <url>',
        'the configuration database as that computer reaches it, without user and password (default: as this one does)',
      )
      .option('--administration', 'let administration services run there too: it gets their database roles', false)
      .option('--out <file>', 'write the invitation to this file, which only you can read, instead of printing it')
      .action(async (name: string, { hours, databaseUrl, administration, out }: InviteFlags, command) => {
        // Before the host's earlier invitation is replaced by one that could not be written.
        if (out !== undefined) await assertNewFile(out, '--out');
        const client = await frame.client(command);
        const body = {
          name,
          validHours: hours,
          administers: administration,
          ...(databaseUrl === undefined ? {} : { databaseUrl }),
        };
        const { hosts: known } = await client.call(hostOperations.list, {});
        const replaces = known.some((host) => host.name === name && host.state === 'invited');
        const invited = await client.call(hostOperations.invite, { body });
        if (out !== undefined) await writeWholeFile(resolve(out), `${invited.invitation}\n`, 'wx');
        const { invitation, ...rest } = invited;
        const shown = {
          ...rest,
          expiresAt: rest.expiresAt.toISOString(),
          ...(out === undefined ? { invitation } : { file: out }),
        };
        frame.show(command, shown, (_, style) => {
          const former = replaces ? '\nThe earlier invitation of this host is void.' : '';
          const where = out === undefined ? `\n\n${invitation}` : '';
          const from = out === undefined ? 'bramble join    # and paste the line' : `bramble join --invitation ${out}`;
          return `${facts(style, [
            ['host', invited.name],
            ['database', invited.databaseUrl],
            ['valid until', timeText(invited.expiresAt)],
          ])}${former}${where}\n\nOn that computer, with this release of Bramble, within that time:\n  ${from}`;
        });
      }),
    'bramble host invite berlin-2 --out berlin-2.invitation',
    'bramble host invite berlin-2 --database-url postgres://db.example.org:5432/bramble',
  );
}

interface DrainFlags {
  to?: string;
  off: boolean;
}

function addDrain(hosts: Command, frame: Frame): void {
  example(
    hosts
      .command('drain <name>')
      .description('place nothing new on a host, and show what is still to run there; --off undoes it')
      .option('--to <instance>', 'move the accounts of its instances to this one, while their devices are being served')
      .option('--off', 'let processes be placed there again', false)
      .action(async (name: string, { to, off }: DrainFlags, command) => {
        if (off && to !== undefined) throw new BrambleError('ERR_USAGE', 'Give only one of --to and --off.');
        const client = await frame.client(command);
        const { processes } = await client.call(hostOperations.drain, { params: { name }, body: { draining: !off } });
        const moves: StartedMove[] = [];
        if (to !== undefined) {
          const { instances } = await client.call(instanceOperations.list, {});
          const isEmpty = (from: string) => instances.find((one) => one.name === from)?.accountCount === 0;
          for (const from of instancesAmong(processes).filter((one) => !isEmpty(one))) {
            moves.push({ from, ...(await client.call(moveOperations.start, { body: { from, to } })) });
          }
        }
        frame.show(command, { processes, moves }, () =>
          off ? `Processes can be placed on ${name} again.` : drainText(name, processes, moves),
        );
      }),
    'bramble host drain berlin-2 --to server-1',
  );
}

type StartedMove = { from: string } & Pick<AnswerOf<typeof moveOperations.start>, 'queued' | 'batch'>;
type Processes = AnswerOf<typeof hostOperations.drain>['processes'];

const namesOf = (wanted: string, processes: Processes) =>
  processes.filter(({ kind }) => kind === wanted).map(({ name }) => name);
const instancesAmong = (processes: Processes) => namesOf('server', processes);

function drainText(host: string, processes: Processes, moves: readonly StartedMove[]): string {
  const undoing = `\`bramble host drain ${host} --off\` lets processes be placed there again.`;
  if (processes.length === 0)
    return `Nothing is to run on ${host}: it can be removed with \`bramble host remove ${host}\`.\n${undoing}`;
  const still = `Nothing new is placed on ${host}. Still to run there: ${processes.map(({ name }) => name).join(', ')}.`;
  const moving = moves.map(
    ({ from, queued, batch }) => `${counted(queued, 'account')} of ${from} queued in the batch ${batch}.`,
  );
  const emptied =
    moves.length === 0
      ? 'they have no accounts any more (--to moves them)'
      : 'their accounts have moved (`bramble move status`)';
  const steps = [
    ...stepFor(
      instancesAmong(processes),
      (names) => `retire ${names} with \`bramble instance retire\` when ${emptied}`,
    ),
    ...stepFor(namesOf('router', processes), (names) => `remove ${names} with \`bramble router remove\``),
    ...stepFor(
      namesOf('administration', processes),
      (names) => `remove ${names} with \`bramble administration-service remove\``,
    ),
  ];
  const next = [...steps, 'then remove the host'].join('; ');
  return [still, ...moving, `${next.charAt(0).toUpperCase()}${next.slice(1)}.`, undoing].join('\n');
}

function stepFor(names: readonly string[], text: (names: string) => string): string[] {
  return names.length === 0 ? [] : [text(names.join(', '))];
}

function addRemove(hosts: Command, frame: Frame): void {
  example(
    confirmable(hosts.command('remove <name>'))
      .description('remove a host on which nothing is to run, or withdraw its invitation')
      .action(async (name: string, flags: { yes?: true }, command) => {
        if (!flags.yes) await confirm(frame, `Remove the host ${name} from the domain?`);
        await frame.ask(
          command,
          hostOperations.remove,
          { params: { name } },
          () =>
            `The host ${name} is removed. If its supervisor still runs, stop it, and remove the host once more. Delete its home: the ` +
            'master keys and database passwords in it are still valid.',
        );
      }),
    'bramble host remove berlin-2',
  );
}

interface JoinFlags {
  invitation?: string;
  listen: string;
}

function addJoin(program: Command, frame: Frame): void {
  example(
    program
      .command('join')
      .description('make this computer a further host of a domain that has invited it; then run it with `bramble up`')
      .option('--invitation <file>', 'the file with the invitation; otherwise it is read from standard input')
      .option('--listen <address>', 'where routers on this host are to listen', '127.0.0.1')
      .action(async ({ invitation, listen }: JoinFlags, command) => {
        const { joinDomain } = await import('../../setup/join-domain.ts');
        if (invitation === undefined) frame.errors.write('Paste the invitation, a single line:\n');
        const home = resolve(homeFolder(frame.environment));
        const joined = await joinDomain({
          home,
          invitation: invitation === undefined ? await firstLine(frame.input) : await readInputFile(invitation),
          listenAddress: listen,
          onStep: (step) => frame.errors.write(`${step} …\n`),
          signal: AbortSignal.timeout(answerWithinMs),
        });
        frame.show(
          command,
          joined,
          ({ domain, host, program }) =>
            `This computer has joined the domain ${domain} as the host ${host}. Run it with:\n` +
            `  BRAMBLE_HOME=${shellWord(home)} ${shellWord(process.execPath)} ${shellWord(program)} up`,
        );
      }),
    'BRAMBLE_HOME=/var/lib/bramble bramble join --invitation berlin-2.invitation',
  );
}

async function firstLine(input: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input })) return line;
  return '';
}

/** An administration service answers within seconds if one is at work. */
const answerWithinMs = 10 * 60_000;
