/** The signer of releases that the domain trusts: shown, set by hand, replaced by its successor, forgotten. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { recordEvent } from '../../domain/events.ts';
import {
  keepReleaseSigner,
  lockReleaseSigner,
  readReleaseSigner,
  type StoredSigner,
} from '../../domain/release-signer.ts';
import { chainOf, maxSignatureBytes, parseRotations } from '../../release/signature.ts';
import { typedFingerprint } from '../../release/signer-fingerprint.ts';
import { fieldError } from '../../rest/field-error.ts';
import { type AdministrationContext, write } from '../context.ts';

const tags = ['upgrade'];
const signerShape = z.object({
  fingerprint: z.string().nullable().describe('Null: the next signed release makes its signer known.'),
  since: z.string().nullable(),
  occasion: z.string().nullable(),
  unsigned: z
    .array(z.object({ release: z.string(), manifest: z.string() }))
    .describe('Unsigned releases that were taken by name, with the SHA-256 of their manifests.'),
});
const typed = z.string().max(200);

export function releaseSignerRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  const change = async (by: string, next: (known: StoredSigner) => Next): Promise<StoredSigner> =>
    await write(context, async (tx) => {
      const { fingerprint, occasion } = next(await lockReleaseSigner(tx));
      await recordEvent(tx, {
        kind: 'release-signer-changed',
        message:
          fingerprint === null ? `${by} forgot the signer of releases` : `${fingerprint} signs releases: ${occasion}`,
      });
      return await keepReleaseSigner(tx, { fingerprint, occasion });
    });

  return async (app) => {
    app.route({
      method: 'GET',
      url: '/release-signer',
      schema: { tags, summary: 'Whose releases this domain takes', response: { 200: signerShape } },
      handler: async () => await readReleaseSigner(context.db),
    });

    app.route({
      method: 'PUT',
      url: '/release-signer',
      schema: {
        tags,
        summary: 'Trust a signer by hand',
        body: z.object({ fingerprint: typed }),
        response: { 200: signerShape },
      },
      handler: async ({ body, administrator }) => {
        const fingerprint = typedFingerprint(body.fingerprint);
        if (fingerprint === undefined) {
          throw fieldError('body', 'fingerprint', 'must be 64 digits of hexadecimal, with or without colons');
        }
        return await change(administrator, () => ({ fingerprint, occasion: `trusted by ${administrator}` }));
      },
    });

    app.route({
      method: 'POST',
      url: '/release-signer/rotation',
      schema: {
        tags,
        summary: 'Follow the trusted signer to the one that it names as its successor',
        body: z.object({ statements: z.string().max(maxSignatureBytes), fingerprint: typed.optional() }),
        response: { 200: signerShape },
      },
      handler: async ({ body, administrator }) => {
        const rotations = parseRotations(Buffer.from(body.statements));
        const to = typedFingerprint(body.fingerprint ?? rotations.at(-1)?.to ?? '');
        if (to === undefined) throw fieldError('body', 'fingerprint', 'must be the fingerprint of a signer');
        return await change(administrator, ({ fingerprint }) => {
          if (fingerprint !== null && chainOf(rotations, fingerprint, to) !== undefined) {
            return { fingerprint: to, occasion: 'named by the signer before' };
          }
          throw new BrambleError(
            'ERR_RELEASE_SIGNER',
            fingerprint === null
              ? 'No signer is known here that another could follow. Trust one by its fingerprint: `bramble release signer trust`.'
              : `The statements do not lead from ${fingerprint}, whom this domain trusts, to ${to}. Give all of those between.`,
            { details: { from: fingerprint, to } },
          );
        });
      },
    });

    app.route({
      method: 'DELETE',
      url: '/release-signer',
      schema: { tags, summary: 'Forget the signer: the next one is the first again', response: { 200: signerShape } },
      handler: async ({ administrator }) =>
        await change(administrator, () => ({ fingerprint: null, occasion: `forgotten by ${administrator}` })),
    });
  };
}

interface Next {
  fingerprint: string | null;
  occasion: string;
}
