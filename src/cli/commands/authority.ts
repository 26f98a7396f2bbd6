/** `bramble authority`. */
import { Argument, type Command } from 'commander';
import { type AuthorityList, authorityOperations } from '../../api/authorities.ts';
import type { Operation } from '../../api/operation.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { dayText } from '../../base/time-text.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { columns, type Style } from '../text-output.ts';

type Ordered = Operation & { readonly answer: typeof authorityOperations.list.answer };

/** What each step does to each, and what is asked before it. */
const steps = {
  roll: {
    device: {
      operation: authorityOperations.rollDevice,
      question: 'Replace the device authority? Every device renews its identity, under the budget.',
    },
    'route-signer': {
      operation: authorityOperations.rollRouteSigner,
      question: 'Replace the route signer? Nobody notices; retire the former one afterwards.',
    },
    domain: {
      operation: authorityOperations.rollDomain,
      question: 'Begin to replace the domain authority? Both are trusted until the former one is retired.',
    },
  },
  switch: {
    domain: {
      operation: authorityOperations.switchDomain,
      question: 'Have the new domain authority issue? Components renew what they are known by.',
    },
  },
  revert: {
    'route-signer': {
      operation: authorityOperations.revertRouteSigner,
      question: 'Let the former route signer sign again?',
    },
    domain: {
      operation: authorityOperations.revertDomain,
      question: 'Turn back one step of the domain authority’s rollover?',
    },
  },
  retire: {
    'route-signer': {
      operation: authorityOperations.retireRouteSigner,
      question: 'Retire the former route signer? Its key is destroyed.',
    },
    domain: {
      operation: authorityOperations.retireDomain,
      question:
        'Retire the former domain authority? Its key is destroyed, and nothing trusts it any more. Make a backup afterwards.',
    },
  },
} as const;

export function addAuthorityCommands(program: Command, frame: Frame): void {
  const authorities = program.command('authority').description('the authorities of the domain');
  example(
    authorities
      .command('list')
      .description('list the authorities, and what each rollover waits for')
      .action(async (_flags: object, command) => {
        await frame.ask(command, authorityOperations.list, {}, authorityText);
      }),
    'bramble authority list',
  );
  const step = <Step extends keyof typeof steps>(
    name: Step,
    description: string,
    which?: keyof (typeof steps)[Step],
  ) => {
    const choices: Readonly<Record<string, { operation: Ordered; question: string }>> = steps[name];
    const argument = new Argument(which === undefined ? '<which>' : '[which]', 'of what').choices(Object.keys(choices));
    return confirmable(authorities.command(name))
      .addArgument(which === undefined ? argument : argument.default(which))
      .description(description)
      .action(async (given: string, flags: { yes?: true }, command) => {
        const chosen = choices[given];
        if (chosen === undefined) throw new TypeError(`${name} of ${given} is not among the choices`);
        if (!flags.yes) {
          // What is to be refused anyway is not asked about; an old service shows no rollovers.
          const client = await frame.client(command);
          assertTimely(name, given, await client.call(authorityOperations.list, {}));
          await confirm(frame, chosen.question);
        }
        await frame.ask(command, chosen.operation, {}, authorityText);
      });
  };
  example(
    step(
      'roll',
      'replace the device authority: a new one issues identities, and every device renews its own. Or the route signer: instances ' +
        'sign routes by a new one. Or begin to replace the domain authority, by which components know each other',
      'device',
    ),
    'bramble authority roll',
    'bramble authority roll domain',
  );
  example(
    step('switch', 'have the new domain authority issue, once everybody trusts it'),
    'bramble authority switch domain',
  );
  example(step('revert', 'turn back one step, while the former one is not retired'), 'bramble authority revert domain');
  example(
    step('retire', 'retire the former one for good, once every component works with the new one'),
    'bramble authority retire route-signer',
  );
}

/** @throws BrambleError ERR_STATE */
function assertTimely(step: keyof typeof steps, which: string, { domain, routeSigner }: AuthorityList): void {
  const [rollover, subject] = which === 'domain' ? [domain, 'The domain authority'] : [routeSigner, 'The route signer'];
  if (step !== 'roll' && rollover === null) {
    throw untimely(`${subject} is not being replaced. \`bramble authority roll ${which}\` begins it.`);
  }
  if (step === 'roll' && which !== 'device' && rollover !== null) {
    throw untimely(`${subject} is being replaced already: \`bramble authority list\` shows how far it is.`);
  }
  if (step === 'switch' && domain?.state === 'switched') throw untimely('The new domain authority issues already.');
  if (step === 'retire' && which === 'domain' && domain?.state === 'begun') {
    throw untimely('The new domain authority does not issue yet: `bramble authority switch domain`.');
  }
  if (step === 'switch' || step === 'retire') {
    const { waitsFor = [] } = rollover ?? {};
    if (waitsFor.length > 0)
      throw untimely(`It is too early, as \`bramble authority list\` shows: ${waitsFor.join(', ')}.`);
  }
}

function untimely(why: string): BrambleError {
  return new BrambleError('ERR_STATE', `${why} Nothing was changed.`);
}

function authorityText({ authorities, device, routeSigner, domain }: AuthorityList, style: Style): string {
  const list = columns(style, authorities, {
    name: (row) => row.name,
    subject: (row) => row.subject,
    ends: (row) => dayText(row.endsAt),
    fingerprint: (row) => row.fingerprint,
  });
  const rollovers = [
    ...(device === null ? [] : [deviceRollover(device)]),
    ...(routeSigner === null ? [] : [routeSignerRollover(routeSigner)]),
    ...(domain === null ? [] : [domainRollover(domain)]),
  ];
  return [list, ...rollovers].join('\n\n');
}

function domainRollover({ state, waitsFor }: NonNullable<AuthorityList['domain']>): string {
  const [standing, next, lacking] =
    state === 'begun'
      ? ['Both domain authorities are trusted, and the former issues', 'switch', 'trust the new one']
      : ['The new domain authority issues', 'retire', 'work with it'];
  if (waitsFor.length === 0) return `${standing}; nobody is waited for: \`bramble authority ${next} domain\`.`;
  return `${standing}; not known to ${lacking}: ${waitsFor.join(', ')}.`;
}

function routeSignerRollover({ waitsFor }: NonNullable<AuthorityList['routeSigner']>): string {
  if (waitsFor.length === 0) {
    return 'Every instance signs routes by the new route signer: `bramble authority retire route-signer` ends the former one.';
  }
  return `The route signer is being replaced; not known to sign by the new one: ${waitsFor.join(', ')}.`;
}

function deviceRollover({
  validIdentities: valid,
  endedIdentities: ended,
}: NonNullable<AuthorityList['device']>): string {
  const left = `${counted(valid, 'valid identity', 'valid identities')} of the former device authority ${valid === 1 ? 'is' : 'are'} left`;
  return `${left}${ended === 0 ? '' : `, and ${ended} that have ended`}; it is retired when none is valid.`;
}
