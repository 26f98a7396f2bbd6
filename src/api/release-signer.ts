/** The signer of releases that the domain trusts: shown, set by hand, replaced by its successor, forgotten. */
import * as z from 'zod';
import type { Operations } from './operation.ts';

const signer = z.object({
  fingerprint: z.string().nullable().describe('Null: the domain will trust the signer of the next signed release.'),
  since: z.string().nullable(),
  occasion: z.string().nullable(),
  unsigned: z
    .array(z.object({ release: z.string(), manifest: z.string() }))
    .describe('Unsigned releases that were accepted by name, with the SHA-256 of their manifests.'),
  refused: z.array(z.string()).describe('Signers that were replaced by hand: accepted only by name.').default([]),
});
export type ReleaseSigner = z.output<typeof signer>;

const typed = z.string().max(200);
/** Bytes of a file with rotation statements. */
const maxStatementsBytes = 16 * 1024;
const tag = 'upgrade';

export const releaseSignerOperations = {
  show: {
    revised: true,
    right: 'servers.read',
    ...{ method: 'GET', path: '/release-signer', tag, summary: 'Whose releases this domain accepts' },
    answer: signer,
  },
  trust: {
    revised: true,
    right: 'releases.trust',
    ...{ method: 'PUT', path: '/release-signer', tag, summary: 'Trust a signer by hand' },
    body: z.object({
      fingerprint: typed,
      refuse: z
        .array(typed)
        .max(16)
        .default([])
        .describe('Signers that stay rejected, even if a rotation statement names them.'),
    }),
    answer: signer,
  },
  follow: {
    revised: true,
    right: 'releases.trust',
    ...{ method: 'POST', path: '/release-signer/rotation', tag },
    summary: 'Follow the trusted signer to the one that it names as its successor',
    body: z.object({ statements: z.string().max(maxStatementsBytes), fingerprint: typed.optional() }),
    answer: signer,
  },
  forget: {
    revised: true,
    right: 'releases.trust',
    ...{
      method: 'DELETE',
      path: '/release-signer',
      tag,
      summary: 'Forget the signer: the next one counts as the first again',
    },
    answer: signer,
  },
} as const satisfies Operations;
