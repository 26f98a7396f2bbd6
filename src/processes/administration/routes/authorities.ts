/** The domain's authorities, and the rollover of the device authority. */
import { X509Certificate } from 'node:crypto';
import type { FastifyPluginAsync } from 'fastify';
import { type AuthorityList, authorityOperations } from '../../../api/authorities.ts';
import type { Queryable } from '../../../database/connection.ts';
import { countFormerIdentities } from '../../../devices/former-identities.ts';
import { listAuthorityCertificates } from '../../../domain/authorities.ts';
import { readFormerIssuer, rollDeviceAuthority } from '../../../domain/device-authority-roll.ts';
import { readDomain } from '../../../domain/domain.ts';
import { recordEvent } from '../../../domain/events.ts';
import { fingerprintOf } from '../../../protocol/x509/certificate-fields.ts';
import { requireFeature } from '../../../registry/features.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

export function authorityRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, authorityOperations.list, async () => await list(context.db));

    serve(app, authorityOperations.roll, async ({ administrator }) => {
      await write(context, async (tx) => {
        await requireFeature(tx, context.features, 'device-authority-rollover', 'Replacing the device authority');
        await rollDeviceAuthority(tx, context.masterKeys, await readDomain(tx), new Date());
        const message = `${administrator} replaced the device authority; devices renew their identities.`;
        await recordEvent(tx, { kind: 'device-authority-rolled', message });
      });
      return await list(context.db);
    });
  };
}

async function list(q: Queryable): Promise<AuthorityList> {
  const formerIssuer = await readFormerIssuer(q);
  return {
    authorities: (await listAuthorityCertificates(q)).map(({ name, certificate }) => {
      const { subject, validToDate } = new X509Certificate(certificate);
      const commonName = /^CN=(.*)$/m.exec(subject)?.[1] ?? subject;
      return { name, subject: commonName, fingerprint: fingerprintOf(certificate), endsAt: validToDate };
    }),
    former: formerIssuer === null ? null : await countFormerIdentities(q, formerIssuer),
  };
}
