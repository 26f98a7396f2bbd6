/** For tests: a command line that runs in this process, and what it wrote. */
import { Readable, Writable } from 'node:stream';
import type { AdministrationFixture } from '../processes/administration/administration-fixture.ts';
import { runCommandLine } from './program.ts';

class Collected extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** Runs `bramble` against this administration service, or with another environment. */
export async function runBramble(
  admin: Pick<AdministrationFixture, 'url' | 'token' | 'home'>,
  argv: readonly string[],
  options: { environment?: Record<string, string>; input?: string; terminal?: boolean; columns?: number } = {},
): Promise<{ code: number; output: string; errors: string }> {
  const screen = options.columns === undefined ? {} : { isTTY: true, columns: options.columns };
  const output = Object.assign(new Collected(), screen);
  const errors = Object.assign(new Collected(), screen);
  const code = await runCommandLine(argv, {
    input: Object.assign(Readable.from([options.input ?? '']), { isTTY: options.terminal === true }),
    output,
    errors,
    environment: options.environment ?? {
      BRAMBLE_URL: admin.url,
      BRAMBLE_TOKEN: admin.token,
      BRAMBLE_HOME: admin.home,
    },
  });
  return { code, output: output.text, errors: errors.text };
}
