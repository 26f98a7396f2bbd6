/**
 * The push service that wakes devices, and its certificate. The permanent effects of setting a certificate can be
 * previewed (`preview`).
 */

import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { type PushChange, pushOperations } from '../../../api/push.ts';
import { counted } from '../../../base/counted.ts';
import { fieldError, issueError } from '../../../base/field-error.ts';
import { isOwnHost } from '../../../base/own-host.ts';
import type { Queryable } from '../../../database/connection.ts';
import { lockDomain } from '../../../domain/domain-changes.ts';
import { recordEvent } from '../../../domain/events.ts';
import type { WakeSettings, WakeSettingsRules } from '../../../platforms/waking.ts';
import { answerEtag, refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { pushSettingsStore } from '../push-settings-store.ts';
import { fixWakeChannel, previewWakeChannel, readWakeChannel, type WakeChannel } from '../wake-channel.ts';

const row = { table: 'setting', key: 'push' } as const;

export function pushRoutes(context: AdministrationContext): FastifyPluginAsync {
  const store = pushSettingsStore(context);

  /** The settings to store, and the certificate if it is new. @throws BrambleError if it is refused */
  async function wantedOf(q: Queryable, given: PushChange, keeps: boolean, now: Date) {
    const settings = settingsOf(store.rules, { ...(keeps ? await store.read(q) : {}), ...given });
    const { url = null, certificatePem = null, privateKeyPem = null } = given;
    if (url !== null) refuseOpenUrl(settings.url);
    const renewed = certificatePem !== null || privateKeyPem !== null;
    return { settings, certificate: renewed ? store.rules.inspect(settings, now) : undefined };
  }

  async function change(
    given: PushChange,
    keeps: boolean,
    { administrator, headers }: Pick<FastifyRequest, 'administrator' | 'headers'>,
  ): Promise<WakeSettings> {
    const now = new Date();
    return await write(context, async (tx) => {
      // The settings, like the topic, are changed by one at a time.
      await lockDomain(tx);
      await refuseStale(tx, { headers }, row);
      const { settings, certificate } = await wantedOf(tx, given, keeps, now);
      const fixed = certificate && (await fixWakeChannel(tx, context.features, certificate.channel, now));
      await store.write(tx, settings);
      await recordEvent(tx, {
        kind: 'push-changed',
        message: `${administrator} set the push service to ${settings.url}${
          certificate ? `, with a certificate until ${certificate.expiresAt.toISOString().slice(0, 10)}` : ''
        }`,
      });
      if (fixed?.replaced !== true) return settings;
      await recordEvent(tx, {
        kind: 'push-topic-fixed',
        message: `the push topic is ${certificate?.channel} from now on; ${counted(fixed.mustEnrolAgain, 'device')} must enrol again`,
      });
      return settings;
    });
  }

  return async (app) => {
    serve(app, pushOperations.show, async (_request, reply) => {
      await answerEtag(context.db, reply, row);
      return pushView(store.rules, await store.readStored(context.db), await readWakeChannel(context.db));
    });

    for (const operation of [pushOperations.replace, pushOperations.change]) {
      const keeps = operation.method === 'PATCH';
      serve(app, operation, async (request) => {
        const { query, body } = request;
        if (!query.preview)
          return pushView(store.rules, await change(body, keeps, request), await readWakeChannel(context.db));
        const { settings, certificate } = await wantedOf(context.db, body, keeps, new Date());
        return pushView(
          store.rules,
          settings,
          certificate === undefined
            ? await readWakeChannel(context.db)
            : await previewWakeChannel(context.db, context.features, certificate.channel),
        );
      });
    }
  };
}

/** @throws BrambleError ERR_INPUT */
function settingsOf(rules: WakeSettingsRules, values: Readonly<Record<string, unknown>>): WakeSettings {
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
  const parsed = rules.given.safeParse(given);
  if (parsed.success) return parsed.data;
  throw issueError('body', parsed.error.issues[0]);
}

/** @throws BrambleError ERR_INPUT for one that would send wake addresses in the clear */
function refuseOpenUrl(url: string): void {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:' || isOwnHost(hostname)) return;
  throw fieldError('body', 'url', 'must be https: only a service on this machine is accepted without encryption');
}

/** The key and the certificate itself stay in the database. */
function pushView(
  rules: WakeSettingsRules,
  settings: Pick<WakeSettings, 'url' | 'caPem' | 'certificatePem'>,
  { channel, fixed, mustEnrolAgain }: WakeChannel,
) {
  const { url, caPem, certificatePem } = settings;
  return {
    url,
    hasOwnAuthority: caPem !== undefined,
    caPem: caPem ?? null,
    hasCertificate: certificatePem !== undefined,
    certificate: certificatePem === undefined ? null : rules.facts(certificatePem),
    topic: channel,
    topicFixed: fixed,
    mustEnrolAgain,
  };
}
