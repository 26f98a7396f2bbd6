/** `bramble completion`: prints what teaches a shell to complete command lines. */
import { Argument, type Command } from 'commander';
import { completionScript, type Shell, shells } from '../completion.ts';
import { example, type Frame } from '../frame.ts';

export function addCompletionCommand(program: Command, frame: Frame): void {
  example(
    program
      .command('completion')
      .description('print the script by which a shell completes commands and options')
      .addArgument(new Argument('<shell>').choices(shells))
      .action((shell: Shell) => frame.print(completionScript(shell, program))),
    'source <(bramble completion bash)',
    'bramble completion zsh > ~/.zfunc/_bramble',
    'bramble completion fish > ~/.config/fish/completions/bramble.fish',
  );
}
