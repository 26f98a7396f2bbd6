/** The domain's authorities, and their rollovers. */
import { X509Certificate } from 'node:crypto';
import type { FastifyPluginAsync } from 'fastify';
import { type AuthorityList, authorityOperations } from '../../../api/authorities.ts';
import type { Transaction } from '../../../database/connection.ts';
import { databaseTime } from '../../../database/database-time.ts';
import { countFormerIdentities } from '../../../devices/former-identities.ts';
import { listAuthorityCertificates } from '../../../domain/authorities.ts';
import { readFormerIssuer, rollDeviceAuthority } from '../../../domain/device-authority-roll.ts';
import { readDomain } from '../../../domain/domain.ts';
import { recordEvent } from '../../../domain/events.ts';
import { revertRouteSigner, rollRouteSigner } from '../../../domain/route-signer-roll.ts';
import { rollDomainAuthority } from '../../../instances/domain-authority-roll.ts';
import { fingerprintOf } from '../../../protocol/x509/certificate-fields.ts';
import { requireFeature } from '../../../registry/features.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { domainRollover, retireAuthority, revertAuthority, switchAuthority } from '../domain-authority-rollover.ts';
import { retireRouteSigner, routeSignerRollover } from '../route-signer-retirement.ts';

export function authorityRoutes(context: AdministrationContext): FastifyPluginAsync {
  const { features, masterKeys } = context;

  /** With an event in the same transaction; answers how it stands then. */
  async function change(event: { kind: string; message: string }, work: (tx: Transaction) => Promise<void>) {
    await write(context, async (tx) => {
      await work(tx);
      await recordEvent(tx, event);
    });
    return await list(context);
  }

  return async (app) => {
    serve(app, authorityOperations.list, async () => await list(context));

    serve(app, authorityOperations.rollDevice, async ({ administrator }) => {
      const message = `${administrator} replaced the device authority; devices renew their identities.`;
      return await change({ kind: 'device-authority-rolled', message }, async (tx) => {
        await requireFeature(tx, features, 'device-authority-rollover', 'Replacing the device authority');
        await rollDeviceAuthority(tx, masterKeys, await readDomain(tx), await databaseTime(tx));
      });
    });

    serve(app, authorityOperations.rollRouteSigner, async ({ administrator }) => {
      const message = `${administrator} replaced the route signer; the former one is believed until it is retired.`;
      return await change({ kind: 'route-signer-rolled', message }, async (tx) => {
        await requireFeature(tx, features, 'route-signer-rollover', 'Replacing the route signer');
        await rollRouteSigner(tx, masterKeys, await readDomain(tx), await databaseTime(tx));
      });
    });

    serve(app, authorityOperations.revertRouteSigner, async ({ administrator }) => {
      const message = `${administrator} had the former route signer sign again; the other one is to be retired.`;
      return await change({ kind: 'route-signer-reverted', message }, async (tx) => {
        await revertRouteSigner(tx, masterKeys);
      });
    });

    serve(app, authorityOperations.retireRouteSigner, async ({ administrator }) => {
      const message = `${administrator} retired the former route signer: routers refuse what it signed.`;
      return await change({ kind: 'route-signer-retired', message }, async (tx) => {
        await retireRouteSigner(tx, masterKeys);
      });
    });

    serve(app, authorityOperations.rollDomain, async ({ administrator }) => {
      const message = `${administrator} made a successor of the domain authority; both are trusted.`;
      return await change({ kind: 'domain-authority-rolled', message }, async (tx) => {
        await requireFeature(tx, features, 'domain-authority-rollover', 'Replacing the domain authority');
        await rollDomainAuthority(tx, masterKeys, await readDomain(tx), await databaseTime(tx));
      });
    });

    serve(app, authorityOperations.switchDomain, async ({ administrator }) => {
      const message = `${administrator} had the new domain authority issue; components renew what they are known by.`;
      return await change({ kind: 'domain-authority-switched', message }, async (tx) => {
        await switchAuthority(tx, masterKeys);
      });
    });

    serve(app, authorityOperations.revertDomain, async ({ administrator }) => {
      const message = `${administrator} turned back a step of the domain authority's rollover.`;
      return await change({ kind: 'domain-authority-reverted', message }, async (tx) => {
        await revertAuthority(tx, masterKeys);
      });
    });

    serve(app, authorityOperations.retireDomain, async ({ administrator }) => {
      const message = `${administrator} retired the former domain authority: nothing trusts it any more.`;
      return await change({ kind: 'domain-authority-retired', message }, async (tx) => {
        await retireAuthority(tx, masterKeys);
      });
    });
  };
}

async function list({ db: q, masterKeys }: AdministrationContext): Promise<AuthorityList> {
  const formerIssuer = await readFormerIssuer(q);
  const former = formerIssuer && (await countFormerIdentities(q, formerIssuer));
  return {
    authorities: (await listAuthorityCertificates(q)).map(({ name, certificate }) => {
      const { subject, validToDate } = new X509Certificate(certificate);
      const commonName = /^CN=(.*)$/m.exec(subject)?.[1] ?? subject;
      return { name, subject: commonName, fingerprint: fingerprintOf(certificate), endsAt: validToDate };
    }),
    device: former && { validIdentities: former.valid, endedIdentities: former.ended },
    routeSigner: await routeSignerRollover(q),
    domain: await domainRollover(q, masterKeys),
  };
}
