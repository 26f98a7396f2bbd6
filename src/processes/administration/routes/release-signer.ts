/** The signer of releases that the domain trusts: shown, set by hand, replaced by its successor, forgotten. */
import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { releaseSignerOperations } from '../../../api/release-signer.ts';
import { BrambleError } from '../../../base/errors.ts';
import { fieldError } from '../../../base/field-error.ts';
import { recordEvent } from '../../../domain/events.ts';
import {
  keepReleaseSigner,
  lockReleaseSigner,
  type NextSigner,
  readReleaseSigner,
  type StoredSigner,
} from '../../../domain/release-signer.ts';
import { parseRotations } from '../../../release/signature.ts';
import { typedFingerprint } from '../../../release/signer-fingerprint.ts';
import { trustedChain } from '../../../release/signer-judgement.ts';
import { answerEtag, refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

const row = { table: 'setting', key: 'release-signer' } as const;

export function releaseSignerRoutes(context: AdministrationContext): FastifyPluginAsync {
  const change = async (
    { administrator: by, headers }: Pick<FastifyRequest, 'administrator' | 'headers'>,
    next: (known: StoredSigner) => NextSigner,
  ): Promise<StoredSigner> =>
    await write(context, async (tx) => {
      const known = await lockReleaseSigner(tx);
      await refuseStale(tx, { headers }, row);
      const chosen = next(known);
      const { fingerprint, occasion } = chosen;
      await recordEvent(tx, {
        kind: 'release-signer-changed',
        message:
          fingerprint === null ? `${by} forgot the signer of releases` : `${fingerprint} signs releases: ${occasion}`,
      });
      return await keepReleaseSigner(tx, chosen);
    });

  return async (app) => {
    serve(app, releaseSignerOperations.show, async (_request, reply) => {
      await answerEtag(context.db, reply, row);
      return await readReleaseSigner(context.db);
    });

    serve(app, releaseSignerOperations.trust, async (request) => {
      const { body, administrator } = request;
      const fingerprint = fingerprintIn('fingerprint', body.fingerprint);
      const refuse = body.refuse.map((text) => fingerprintIn('refuse', text));
      if (refuse.includes(fingerprint))
        throw fieldError('body', 'refuse', 'must not contain the signer that is to be trusted');
      const occasion = `trusted by ${administrator}`;
      return await change(request, () => ({ fingerprint, occasion, leaves: true, refuse }));
    });

    serve(app, releaseSignerOperations.follow, async (request) => {
      const { body } = request;
      const rotations = parseRotations(Buffer.from(body.statements));
      const to = typedFingerprint(body.fingerprint ?? rotations.at(-1)?.to ?? '');
      if (to === undefined) throw fieldError('body', 'fingerprint', 'must be the fingerprint of a signer');
      return await change(request, ({ fingerprint, refused }) => {
        if (trustedChain({ fingerprint, refused }, rotations, to) !== undefined) {
          return { fingerprint: to, occasion: 'named by the previous signer' };
        }
        throw new BrambleError(
          'ERR_RELEASE_SIGNER',
          fingerprint === null
            ? 'No signer is trusted yet, so none can be followed. Trust one by its fingerprint: `bramble release ' +
                'signer trust`.'
            : `The statements do not lead from ${fingerprint}, which this domain trusts, to ${to}, or only ` +
                'through one that was replaced by hand. Give all statements in between, or trust the last signer ' +
                'by its fingerprint.',
          { details: { from: fingerprint, to } },
        );
      });
    });

    serve(
      app,
      releaseSignerOperations.forget,
      async (request) =>
        await change(request, () => ({ fingerprint: null, occasion: `forgotten by ${request.administrator}` })),
    );
  };
}

function fingerprintIn(field: string, text: string): string {
  const fingerprint = typedFingerprint(text);
  if (fingerprint !== undefined) return fingerprint;
  throw fieldError('body', field, 'must be 64 hexadecimal digits, with or without colons');
}
