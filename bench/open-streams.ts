/** Streams of live events that stay open while something is measured. */
import { type OpenedStream, openStream } from '../src/rest/stream-fixture.ts';
import type { RunningDomain } from '../test/harness/domain.ts';
import { administrationUrl } from './measured-domain.ts';

/** One token has so many streams at most. */
const perToken = 50;

/** Opens streams, any number at a time: with tokens that are made once. */
export async function streamOpener(
  domain: RunningDomain,
  most: number,
): Promise<{ url: string; open: (count: number) => Promise<OpenedStream[]> }> {
  const url = await administrationUrl(domain);
  const tokens = [domain.token];
  for (let number = 1; tokens.length * perToken < most; number++) {
    const made = await domain.command('token', 'create', `bench-${number}`, '--json');
    if (made.code !== 0) throw new Error(made.stderr);
    tokens.push((JSON.parse(made.stdout) as { token: string }).token);
  }
  return {
    url,
    // One after the other: requests with a token that was not seen lately share the limit of their address.
    open: async (count) => {
      const opened: OpenedStream[] = [];
      for (let index = 0; index < count; index++) {
        const stream = await openStream({ url, token: tokens[Math.floor(index / perToken)] ?? '' });
        await stream.untilTold('it is live', ({ kind }) => kind === 'ready');
        opened.push(stream);
      }
      return opened;
    },
  };
}
