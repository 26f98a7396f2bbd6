/**
 * Scripts by which shells complete command lines: made from the tree of commands itself, so that they never lag behind it. Pure.
 *
 * Each script walks the words before the cursor along the tree and offers what may follow there: sub-commands, options, and after
 * an option the values that it takes. Where nothing is offered the shell completes file names.
 */
import { type Command, Help, type Option } from 'commander';

/** What may follow a command, by its place such as `/account/create`; '' is the program itself. */
interface Place {
  readonly path: string;
  /** Sub-commands with their aliases, by every name that leads there. */
  readonly children: readonly {
    readonly names: readonly string[];
    readonly path: string;
    readonly description: string;
  }[];
  readonly options: readonly {
    readonly flags: readonly string[];
    readonly description: string;
    readonly choices: readonly string[];
  }[];
  /** Words that its arguments may be. */
  readonly words: readonly string[];
  /** Flags that are followed by a value. */
  readonly valued: readonly string[];
}

const help = new Help();
help.showGlobalOptions = true;

function placesOf(command: Command, path = ''): Place[] {
  const commands = help.visibleCommands(command).filter((child) => child.name() !== 'help');
  const options = [
    ...help.visibleOptions(command),
    ...(command.parent === null ? [] : help.visibleGlobalOptions(command)),
  ];
  const children = commands.map((child) => ({
    names: [child.name(), ...child.aliases()],
    path: `${path}/${child.name()}`,
    description: child.description(),
  }));
  const place = {
    path,
    children,
    options: options.map((option) => ({
      flags: flagsOf(option),
      description: option.description,
      choices: option.argChoices ?? [],
    })),
    words: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    valued: options.filter(({ required, optional }) => required || optional).flatMap(flagsOf),
  };
  return [place, ...commands.flatMap((child) => placesOf(child, `${path}/${child.name()}`))];
}

function flagsOf({ long, short }: Option): string[] {
  return [long, short].filter((flag) => flag !== undefined && flag !== null);
}

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export function completionScript(shell: Shell, program: Command): string {
  const places = placesOf(program);
  if (shell === 'fish') return fishScript(places);
  const script = bashScript(places);
  return shell === 'bash' ? script : `#compdef bramble\nautoload -U +X bashcompinit && bashcompinit\n${script}`;
}

const transitions = (places: readonly Place[]) =>
  places.flatMap(({ path, children }) =>
    children.map((child) => ({ from: child.names.map((name) => `${path}/${name}`), to: child.path })),
  );
/** Where an option has the same values everywhere it is said once for each place that has it. */
const choicesOf = (places: readonly Place[]) =>
  places.flatMap(({ path, options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map(({ flags, choices }) => ({ at: flags.map((flag) => `${path} ${flag}`), choices })),
  );
const valuedOf = (places: readonly Place[]) => [...new Set(places.flatMap(({ valued }) => valued))];

function bashScript(places: readonly Place[]): string {
  const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join('|');
  const lines = [
    '_bramble() {',
    "  local word path='' words='' skip='' i",
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    `    word=\${COMP_WORDS[i]}`,
    '    if [ -n "$skip" ]; then skip=\'\'; continue; fi',
    `    case "$word" in ${quoted(valuedOf(places))}) skip=1; continue ;; esac`,
    '    case "$path/$word" in',
    ...transitions(places).map(({ from, to }) => `      ${quoted(from)}) path='${to}' ;;`),
    '    esac',
    '  done',
    `  case "$path \${COMP_WORDS[COMP_CWORD-1]}" in`,
    ...choicesOf(places).map(({ at, choices }) => `    ${quoted(at)}) words='${choices.join(' ')}' ;;`),
    '  esac',
    '  if [ -z "$words" ] && [ -z "$skip" ]; then',
    '    case "$path" in',
    ...places.map(({ path, children, options, words }) => {
      const all = [
        ...children.flatMap(({ names }) => names.slice(0, 1)),
        ...words,
        ...options.flatMap(({ flags }) => flags),
      ];
      return `      '${path}') words='${all.join(' ')}' ;;`;
    }),
    '    esac',
    '  fi',
    `  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))`,
    '}',
    'complete -o bashdefault -o default -F _bramble bramble',
  ];
  return lines.join('\n');
}

function fishScript(places: readonly Place[]): string {
  const quoted = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const lines = [
    'function __bramble_words',
    "  set -l path ''",
    "  set -l skip ''",
    '  set -l words (commandline -opc)',
    '  for word in $words[2..]',
    '    if test -n "$skip"',
    "      set skip ''",
    '      continue',
    '    end',
    '    switch $word',
    `      case ${valuedOf(places).map(quoted).join(' ')}`,
    '        set skip $word',
    '        continue',
    '    end',
    '    switch "$path/$word"',
    ...transitions(places).flatMap(({ from, to }) => [
      `      case ${from.map(quoted).join(' ')}`,
      `        set path ${quoted(to)}`,
    ]),
    '    end',
    '  end',
    '  if test -n "$skip"',
    '    switch "$path $skip"',
    ...choicesOf(places).flatMap(({ at, choices }) => [
      `      case ${at.map(quoted).join(' ')}`,
      `        printf '%s\\n' ${choices.map(quoted).join(' ')}`,
    ]),
    '    end',
    '    return',
    '  end',
    '  switch $path',
    ...places.flatMap(({ path, children, options, words }) => {
      const described = [
        ...children.map(({ names, description }) => [names[0] ?? '', description]),
        ...words.map((word) => [word, '']),
        ...options.flatMap(({ flags, description }) => flags.map((flag) => [flag, description])),
      ];
      return [`    case ${quoted(path)}`, `      printf '%s\\t%s\\n' ${described.flat().map(quoted).join(' ')}`];
    }),
    '  end',
    'end',
    "complete -c bramble -a '(__bramble_words)'",
  ];
  return lines.join('\n');
}
