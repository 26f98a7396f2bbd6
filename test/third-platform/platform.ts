/** A platform of the tests' own: it is registered by the test that uses it, and by nobody else. */
import * as z from 'zod';
import type { Platform } from '../../src/platforms/port.ts';
import type { WakeSettingsRules } from '../../src/platforms/waking.ts';
import { jsonCompiler, jsonOperatorOrder, jsonOrder } from './compiler.ts';
import { jsonProtocol } from './protocol.ts';

/** A second wake service with settings: `/push` stays the other one's. */
const jsonWakeSettings: WakeSettingsRules = {
  ...{ key: 'json-wake', keyPlace: 'json-wake', given: z.never(), stored: z.never() },
  unseal: (stored) => stored,
  inspect: () => ({ channel: 'json', expiresAt: new Date(0) }),
  facts: () => null,
};

export const json: Platform = {
  name: 'json',
  feature: 'further-platforms',
  minSoftware: null,
  protocol: jsonProtocol,
  enrolment: {
    offer: ({ device: { token, challenge } }) => ({
      contentType: jsonProtocol.contentType,
      body: Buffer.from(JSON.stringify({ token, challenge })),
    }),
    renewal: ({ device: { challenge } }) => jsonOrder('renew', { challenge }),
    removal: () => jsonOrder('leave', {}),
  },
  compiler: jsonCompiler,
  operatorOrder: jsonOperatorOrder,
  wakeService: {
    open: () => ({
      wake: async ({ token, secret }) => {
        const { ok } = await fetch(Buffer.from(token).toString(), { method: 'POST', body: secret });
        return ok ? { outcome: 'sent' } : { outcome: 'later', reason: 'it did not listen' };
      },
      pausedForMs: () => 0,
      refresh: async () => {},
      close: async () => {},
    }),
    settings: jsonWakeSettings,
  },
};
