/** `bramble profile`: domains by name, so that one command line administers several. */
import type { Command } from 'commander';
import { BrambleError } from '../../base/errors.ts';
import { readInputFile } from '../../base/input-file.ts';
import { addressOf } from '../administration-access.ts';
import { example, type Frame } from '../frame.ts';
import { assertCertificates } from '../own-authority.ts';
import { assertSecret, profileNamed, readProfiles, writeProfiles } from '../profiles.ts';
import { typedSecret } from '../secret-input.ts';
import { columns } from '../text-output.ts';

const nameForm = /^[a-z0-9][a-z0-9._-]{0,62}$/;

export function addProfileCommands(program: Command, frame: Frame): void {
  const profiles = program
    .command('profile')
    .alias('profiles')
    .description('domains by name: address, token and authority of each');
  addAdd(profiles, frame);
  addList(profiles, frame);
  addUse(profiles, frame);
  addRemove(profiles, frame);
}

function addAdd(profiles: Command, frame: Frame): void {
  example(
    profiles
      .command('add <name>')
      .description('add one; its address, and the certificate of its authority, are those of --url and --url-ca')
      .option('--token-file <file>', 'file with the token; - for standard input', '-')
      .action(async (name: string, { tokenFile }: { tokenFile: string }, command: Command) => {
        const { url: typed, urlCa: file } = command.optsWithGlobals<{ url?: string; urlCa?: string }>();
        if (!nameForm.test(name)) {
          throw new BrambleError(
            'ERR_USAGE',
            `"${name}" is no name: lower-case letters, digits, dots and hyphens, at most 63.`,
          );
        }
        if (typed === undefined) throw new BrambleError('ERR_USAGE', 'Give --url: the address of the domain.');
        const url = addressOf(typed);
        assertSecret(url);
        const ca = file === undefined ? undefined : await readInputFile(file);
        if (ca !== undefined) assertCertificates(ca, file ?? '');
        const known = await readProfiles(frame.environment);
        if (Object.hasOwn(known.profiles, name)) {
          throw new BrambleError(
            'ERR_NAME_TAKEN',
            `There is a profile "${name}": \`bramble profile remove ${name}\` comes first.`,
          );
        }
        const token = (await typedSecret(frame, tokenFile)).trim();
        if (token === '')
          throw new BrambleError('ERR_ADMIN_ACCESS', 'The token is empty: `bramble token create` makes one.');
        const profile = { url, token, ...(ca === undefined ? {} : { ca }) };
        await writeProfiles(frame.environment, { ...known, profiles: { ...known.profiles, [name]: profile } });
        frame.show(
          command,
          { name, url },
          () => `The profile ${name} is for ${url}. \`bramble profile use ${name}\` makes it the one that is meant.`,
        );
      }),
    'bramble --url https://bramble.example.org:3180 --url-ca ca.pem profile add example --token-file token',
    'bramble --profile example status',
  );
}

function addList(profiles: Command, frame: Frame): void {
  example(
    profiles
      .command('list')
      .description('list them, without their tokens')
      .action(async (_flags: object, command: Command) => {
        const { used, profiles: known } = await readProfiles(frame.environment);
        const rows = Object.entries(known).map(([name, { url, ca }]) => ({
          ...{ name, url, authority: ca === undefined ? 'public' : 'own', used: name === used },
        }));
        frame.show(command, { profiles: rows }, (shown, style) =>
          columns(style, shown.profiles, {
            name: (row) => row.name,
            url: (row) => row.url,
            authority: (row) => row.authority,
            used: (row) => (row.used ? 'yes' : ''),
          }),
        );
      }),
    'bramble profile list',
  );
}

function addUse(profiles: Command, frame: Frame): void {
  example(
    profiles
      .command('use [name]')
      .description(
        'make it the one that is meant where neither BRAMBLE_HOME nor an address is given; without a name, none',
      )
      .action(async (name: string | undefined, _flags: object, command: Command) => {
        const known = await readProfiles(frame.environment);
        if (name !== undefined) profileNamed(known, name);
        await writeProfiles(frame.environment, { ...known, used: name ?? null });
        frame.show(command, { used: name ?? null }, ({ used }) =>
          used === null ? 'No profile is meant.' : `${used} is meant from now on.`,
        );
      }),
    'bramble profile use example',
  );
}

function addRemove(profiles: Command, frame: Frame): void {
  example(
    profiles
      .command('remove <name>')
      .description('remove it, with its token; that stays valid in the domain')
      .action(async (name: string, _flags: object, command: Command) => {
        const known = await readProfiles(frame.environment);
        profileNamed(known, name);
        const { [name]: _, ...others } = known.profiles;
        await writeProfiles(frame.environment, { used: known.used === name ? null : known.used, profiles: others });
        frame.show(command, { name }, () => `The profile ${name} is removed. \`bramble token revoke\` ends its token.`);
      }),
    'bramble profile remove example',
  );
}
