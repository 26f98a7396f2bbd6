/** `bramble domain create`: what `prepareHome` has a release's own program do with an empty database. */
import type { Command } from 'commander';
import { z } from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { homeFolder } from '../administration-access.ts';
import type { Frame } from '../frame.ts';

/** Everything but what the environment and the release itself say. */
const planShape = z.object({
  name: z.string().min(1),
  host: z.string().min(1),
  publicHost: z.string().min(1),
  publicPort: z.number().int().min(1).max(65_535),
  srpPort: z.number().int().min(1).max(65_535),
  tunnelHost: z.string().min(1).default('tunnel.bramble.internal'),
  pushTopic: z.string().min(1).default('com.apple.mgmt.External.bramble'),
  instances: z.number().int().min(1).max(64),
  administrationServices: z.number().int().min(1).max(16),
  databaseRoles: z.boolean().default(false),
});

export function addSetupCommands(program: Command, frame: Frame): void {
  program
    .command('domain', { hidden: true })
    .command('create', { hidden: true })
    .description('make a new domain out of the empty database that DATABASE_URL names')
    .requiredOption('--plan <json>', 'what the domain is to be')
    .action(async (flags: { plan: string }, command) => {
      const [{ createDomain }, { migrationFolder }, { thisRelease }] = await Promise.all([
        import('../../setup/create-domain.ts'),
        import('../../release/program.ts'),
        import('../../release/this-release.ts'),
      ]);
      const databaseUrl = frame.environment['DATABASE_URL'];
      if (databaseUrl === undefined) {
        throw new BrambleError('ERR_ENVIRONMENT', 'DATABASE_URL is not set: it names the empty database.');
      }
      const created = await createDomain({
        ...planShape.parse(JSON.parse(flags.plan)),
        home: homeFolder(frame.environment),
        databaseUrl,
        sqlFolder: migrationFolder(),
        release: thisRelease.release,
      });
      frame.show(command, { publicUrl: created.publicUrl, instances: created.instances }, ({ publicUrl }) => publicUrl);
    });
}
