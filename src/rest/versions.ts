/**
 * Which release's API a client was written for: it may say so in `Bramble-Version`, and each answer names the release that gave
 * it in `Bramble-Release`.
 *
 * Invariant: a client that says nothing is answered as by 1.4, until 2.0. One of a later minor release is answered as well as this
 * release can, since both meet in the middle of an upgrade; one of another major release is refused rather than misunderstood.
 */
import type { FastifyInstance } from 'fastify';
import { BrambleError } from '../base/errors.ts';
import { fieldError } from '../base/field-error.ts';

/** Call it before the routes are registered. */
export function negotiateVersion(app: FastifyInstance, release: string): void {
  const [major = ''] = release.split('.');
  app.addHook('onRequest', async ({ headers }, reply) => {
    reply.header('bramble-release', release);
    const named = headers['bramble-version'];
    if (named !== undefined) refuseOtherMajor(String(named));
  });

  function refuseOtherMajor(named: string): void {
    const wanted = /^(\d{1,4})\.\d{1,4}(?:\.\d{1,4})?$/.exec(named)?.[1];
    if (wanted === undefined)
      throw fieldError('headers', 'bramble-version', 'must be the number of a release, such as 1.5');
    if (wanted === major) return;
    throw new BrambleError(
      'ERR_API_VERSION',
      `This is release ${release}, which cannot answer as ${named} would: name ${major}.x in Bramble-Version, or leave it out.`,
      { details: { release } },
    );
  }
}
