/** `bramble status`, `component`, `features`, `budget`, `deliveries`, `events`, `token`, `push`. */
import type { Command } from 'commander';
import { z } from 'zod';
import { collectValues, fileText, number } from '../arguments.ts';
import { example, type Frame, query, segment } from '../frame.ts';
import { cell, facts, type Style, table, timeText } from '../text-output.ts';

const component = z.object({
  name: z.string(),
  kind: z.string(),
  host: z.string(),
  processId: z.number(),
  release: z.string(),
  alive: z.boolean(),
  startedAt: z.string(),
  stoppedAt: z.string().nullable(),
});

const status = z.object({
  domain: z.object({ name: z.string(), publicUrl: z.string(), release: z.string(), featureLevel: z.string() }),
  components: z.array(component),
  instances: z.array(
    z.object({
      name: z.string(),
      alive: z.boolean(),
      release: z.string().nullable(),
      accountCount: z.number(),
      deviceCount: z.number(),
      links: z.array(z.object({ router: z.string() })),
      deliveries: z.object({ owed: z.number(), released: z.number(), inFlight: z.number(), suspects: z.number() }),
      hold: z.object({ reason: z.string(), text: z.string(), waiting: z.number(), heldSeconds: z.number() }).nullable(),
    }),
  ),
  sharedDatabaseRole: z.string().nullish(),
  deliveries: z.object({
    inFlight: z.number(),
    suspects: z.number(),
    budget: z.record(z.string(), z.number()),
    heldBySuspects: z.object({ instances: z.array(z.string()), silent: z.number(), clearedBy: z.string() }).nullish(),
  }),
  unansweredDevices: z.number().default(0),
  openMoves: z.array(z.object({ batch: z.string(), state: z.string(), open: z.number(), outOfReach: z.number() })),
  upgrade: z.object({ from: z.string(), to: z.string(), state: z.string(), reason: z.string().nullable() }).nullable(),
});

const pushShape = z.object({
  url: z.string(),
  hasOwnAuthority: z.boolean(),
  hasCertificate: z.boolean(),
  topic: z.string(),
  topicFixed: z.boolean(),
  mustEnrolAgain: z.number(),
});

export function addDomainCommands(program: Command, frame: Frame): void {
  example(
    program
      .command('status')
      .description('the domain at a glance')
      .action(async (_flags: object, command) => {
        await frame.ask(command, { path: '/status', shape: status, text: statusText });
      }),
    'bramble status',
  );

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
  example(
    components
      .command('forget <name>')
      .description('forget a component that is gone for good, so that it holds no feature back')
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'DELETE',
          path: `/components/${segment(name)}`,
          shape: z.null(),
          text: () => `The component ${name} is forgotten.`,
        });
      }),
    'bramble component forget berlin-1',
  );

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

  addBudgetCommands(program, frame);

  example(
    program
      .command('deliveries')
      .description('deliveries, each with what it waits for')
      .option('--state <state>', 'open, owed, released, handed-out, suspect, done, failed or superseded', 'open')
      .option('--limit <number>', 'at most so many', number, 200)
      .action(async (flags: { state: string; limit: number }, command) => {
        await frame.ask(command, {
          path: `/deliveries${query(flags)}`,
          shape: z.object({
            deliveries: z.array(
              z.object({
                account: z.string(),
                item: z.string(),
                cause: z.string(),
                state: z.string(),
                instance: z.string().nullable(),
                owedAt: z.string(),
                waitingFor: z.string().nullable(),
                failure: z.string().nullable(),
              }),
            ),
          }),
          text: (answer, style) =>
            table(
              style,
              ['account', 'item', 'because of', 'state', 'instance', 'owed', 'waits for'],
              answer.deliveries.map((row) => [
                row.account,
                row.item,
                row.cause,
                row.state,
                cell(row.instance),
                timeText(row.owedAt),
                cell(row.waitingFor ?? row.failure),
              ]),
            ),
        });
      }),
    'bramble deliveries --state suspect',
  );

  example(
    program
      .command('events')
      .description('what happened, newest first')
      .option('--limit <number>', 'at most so many', number, 50)
      .action(async (flags: { limit: number }, command) => {
        await frame.ask(command, {
          path: `/events${query({ limit: flags.limit })}`,
          shape: z.object({
            events: z.array(z.object({ at: z.string(), kind: z.string(), message: z.string() })),
          }),
          text: (answer, style) =>
            table(
              style,
              ['time', 'kind', 'what happened'],
              answer.events.map((row) => [timeText(row.at), row.kind, row.message]),
            ),
        });
      }),
    'bramble events --limit 20',
  );

  example(
    program
      .command('push')
      .description('show or set the push service that wakes devices')
      .option(
        '--certificate <file>',
        'PEM file with the push certificate; its topic becomes the domain’s for good',
        fileText,
      )
      .option('--key <file>', 'PEM file with the private key of the certificate, without a passphrase', fileText)
      .option('--set <name=value>', 'url, caPem, certificatePem or privateKeyPem; replaces all', collectValues, {})
      .action(async (flags: { certificate?: string; key?: string; set: Record<string, unknown> }, command) => {
        const body = {
          ...flags.set,
          ...(flags.certificate === undefined ? {} : { certificatePem: flags.certificate }),
          ...(flags.key === undefined ? {} : { privateKeyPem: flags.key }),
        };
        await frame.ask(command, {
          ...(Object.keys(body).length > 0 ? { method: 'PUT', body } : {}),
          path: '/push',
          shape: pushShape,
          text: pushText,
        });
      }),
    'bramble push --certificate push.pem --key push-key.pem',
  );

  addTokenCommands(program, frame);
}

function pushText(push: z.output<typeof pushShape>, style: Style): string {
  return facts(style, [
    ['url', push.url],
    ['own authority', cell(push.hasOwnAuthority)],
    ['certificate', cell(push.hasCertificate)],
    ['topic', push.topicFixed ? push.topic : `${push.topic} (made up, until a certificate is set)`],
    ...(push.mustEnrolAgain > 0
      ? [
          [
            'must enrol again',
            `${push.mustEnrolAgain} devices that know another topic: bramble device list --must-enrol-again`,
          ] as [string, string],
        ]
      : []),
  ]);
}

function addBudgetCommands(program: Command, frame: Frame): void {
  const budget = program.command('budget').description('how much may be with devices at the same time');
  const shape = z.record(z.string(), z.number());
  const text = (answer: z.output<typeof shape>, style: Style): string =>
    facts(
      style,
      Object.entries(answer).map(([key, value]) => [key, String(value)]),
    );
  example(
    budget
      .command('show')
      .description('show the budget')
      .action(async (_flags: object, command) => {
        await frame.ask(command, { path: '/budget', shape, text });
      }),
    'bramble budget show',
  );
  example(
    budget
      .command('set <name=value...>')
      .description(
        'change perInstance, perDomain, suspects, perMinuteInstance, perMinuteDomain, suspectAfterSeconds; the rest stays',
      )
      .action(async (values: string[], _flags: object, command) => {
        let body: Record<string, unknown> = {};
        for (const value of values) body = collectValues(value, body);
        await frame.ask(command, { method: 'PUT', path: '/budget', body, shape, text });
      }),
    'bramble budget set perInstance=10 perMinuteDomain=120',
  );
}

function addTokenCommands(program: Command, frame: Frame): void {
  const tokens = program.command('token').alias('tokens').description('administrator tokens');
  example(
    tokens
      .command('create <name>')
      .description('make a token; it is shown once')
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: '/tokens',
          body: { name },
          shape: z.object({ token: z.string() }),
          text: (made) => made.token,
        });
      }),
    'bramble token create helpdesk',
  );
  example(
    tokens
      .command('list')
      .description('list tokens, revoked ones included')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/tokens',
          shape: z.object({
            tokens: z.array(z.object({ name: z.string(), createdAt: z.string(), revokedAt: z.string().nullable() })),
          }),
          text: (answer, style) =>
            table(
              style,
              ['name', 'made', 'revoked'],
              answer.tokens.map((row) => [row.name, timeText(row.createdAt), timeText(row.revokedAt)]),
            ),
        });
      }),
    'bramble token list',
  );
  example(
    tokens
      .command('revoke <name>')
      .description('revoke a token')
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'DELETE',
          path: `/tokens/${segment(name)}`,
          shape: z.null(),
          text: () => `The token ${name} is revoked.`,
        });
      }),
    'bramble token revoke helpdesk',
  );
}

function statusText(answer: z.output<typeof status>, style: Style): string {
  const { domain, deliveries, upgrade } = answer;
  const head: [string, string][] = [
    ['domain', `${style.bold(domain.name)} at ${domain.publicUrl}`],
    ['release', `${domain.release}, feature level ${domain.featureLevel}`],
    [
      'deliveries',
      `${deliveries.inFlight} of ${cell(deliveries.budget['perDomain'])} in flight, ${deliveries.suspects} of ` +
        `${cell(deliveries.budget['suspects'])} suspects`,
    ],
  ];
  if (answer.sharedDatabaseRole) {
    head.push([
      'database',
      `every process has the same database role (${answer.sharedDatabaseRole}); \`bramble database roles\` says how to ` +
        'give each kind its own',
    ]);
  }
  const held = deliveries.heldBySuspects;
  if (held) {
    const what = `${held.silent} silent devices hold sending back on ${held.instances.join(', ')}`;
    head.push(['', style.yellow(`${what}: \`${held.clearedBy}\` takes back what they were handed`)]);
  }
  if (answer.unansweredDevices > 0) {
    const what = `${answer.unansweredDevices} were handed the same command again and again without answering`;
    head.push(['devices', style.yellow(`${what}: \`bramble device list --unanswered\``)]);
  }
  for (const move of answer.openMoves) {
    head.push([
      'moves',
      `${move.open} open (${move.outOfReach} out of reach) in the ${move.state} batch ${move.batch}`,
    ]);
  }
  if (upgrade !== null) {
    const reason = upgrade.reason === null ? '' : `: ${upgrade.reason}`;
    head.push(['upgrade', `${upgrade.from} to ${upgrade.to}, ${style.bold(upgrade.state)}${reason}`]);
  }
  const instances = answer.instances.map((row) => [
    row.name,
    row.alive ? style.green('at work') : style.red('absent'),
    cell(row.release),
    String(row.accountCount),
    String(row.deviceCount),
    row.links.length === 0 ? style.red('none') : row.links.map((link) => link.router).join(', '),
    `${row.deliveries.owed} / ${row.deliveries.released} / ${row.deliveries.inFlight} / ${row.deliveries.suspects}`,
    row.hold === null || row.hold.reason === 'nothing'
      ? '-'
      : `${row.hold.text} (${Math.round(row.hold.heldSeconds)} s)`,
  ]);
  return [
    facts(style, head),
    '',
    table(
      style,
      [
        'instance',
        'state',
        'release',
        'accounts',
        'devices',
        'links',
        'owed/released/in flight/suspects',
        'held back by',
      ],
      instances,
    ),
    '',
    componentTable(answer.components, style),
  ].join('\n');
}

function componentTable(components: readonly z.output<typeof component>[], style: Style): string {
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
