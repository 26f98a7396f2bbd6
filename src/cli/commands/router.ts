/** `bramble router`. */
import type { Command } from 'commander';
import type { AnswerOf } from '../../api/operation.ts';
import { type RouterView, routerOperations } from '../../api/routers.ts';
import { number } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { columns } from '../text-output.ts';

export function addRouterCommands(program: Command, frame: Frame): void {
  const routers = program.command('router').alias('routers').description('routers, which devices connect to');
  addList(routers, frame);
  addAdd(routers, frame);
  addRemove(routers, frame);
}

function addList(routers: Command, frame: Frame): void {
  example(
    routers
      .command('list')
      .description('list routers, and where instances and connection services dial them')
      .action(async (_flags: object, command) => {
        await frame.ask(command, routerOperations.list, {}, (answer, style) =>
          [
            columns(style, answer.routers, {
              name: (row) => row.name,
              host: (row) => row.host,
              'link address': addressText,
              'public port': (row) => String(row.publicPort ?? '-'),
              state: stateText,
            }),
            ...portNotes(answer).map((note) => style.yellow(note)),
          ].join('\n'),
        );
      }),
    'bramble router list',
  );
}

/** Devices know one port for ever: where a router listens at another one, something has to lead them there. */
function portNotes({ routers, publicUrl }: AnswerOf<typeof routerOperations.list>): string[] {
  const known = Number(new URL(publicUrl).port || 443);
  return routers
    .filter(({ publicPort }) => publicPort !== null && publicPort !== known)
    .map(
      ({ name, host, publicPort }) =>
        `Devices know ${publicUrl} alone, and ${name} listens on port ${publicPort}. If no balancer leads them there: set publicPort ` +
        `to ${known} in config.json of ${host}, then \`bramble up --take-over\` there.`,
    );
}

function addressText({ linkHost, linkPort }: RouterView): string {
  const host = linkHost.includes(':') ? `[${linkHost}]` : linkHost;
  return linkPort === null ? host : `${host}:${linkPort}`;
}

function stateText({ state, reason }: RouterView): string {
  if (state === 'refused') return `refused: ${reason}`;
  return state === 'waiting' ? 'waiting for its certificate' : state.replaceAll('-', ' ');
}

interface AddFlags {
  host: string;
  linkHost: string;
  linkPort?: number;
}

function addAdd(routers: Command, frame: Frame): void {
  example(
    routers
      .command('add <name>')
      .description('add a router on a host that joined; its supervisor asks for the certificate and starts it')
      .requiredOption('--host <name>', 'the host')
      .requiredOption('--link-host <address>', 'the name or address at which the other hosts reach that host')
      .option('--link-port <port>', 'if they reach its SRP port at another port than it listens on', number)
      .action(async (name: string, { host, linkHost, linkPort }: AddFlags, command) => {
        const body = { name, host, linkHost, ...(linkPort === undefined ? {} : { linkPort }) };
        await frame.ask(
          command,
          routerOperations.add,
          { body },
          (added) =>
            `The router ${added.name} was added; the supervisor of ${added.host} starts it. \`bramble router list\` shows when it is at ` +
            'work. Devices come to it once the domain’s public host leads there as well.',
        );
      }),
    'bramble router add router-2 --host berlin-2 --link-host 10.0.0.5',
  );
}

function addRemove(routers: Command, frame: Frame): void {
  example(
    confirmable(routers.command('remove <name>'))
      .description('remove a router while another one is at work: nobody dials it any more, it drains and ends')
      .action(async (name: string, flags: { yes?: true }, command) => {
        if (!flags.yes) await confirm(frame, `Remove the router ${name} from the domain?`);
        await frame.ask(
          command,
          routerOperations.remove,
          { params: { name } },
          () => `The router ${name} is removed: it drains and ends. See that no device is led to its address any more.`,
        );
      }),
    'bramble router remove router-2',
  );
}
