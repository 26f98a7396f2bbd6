/** Devices: listed, shown, removed, and whether they have to identify themselves in TLS. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { next, pageQuery, type Sort } from './paging.ts';
import { byId, byName, freeForm, instant, listLimit, name, nothing, word } from './shapes.ts';

const text = z.string().nullable();
const device = z.object({
  id: z.string(),
  account: z.string(),
  instance: z.string(),
  platform: z.string(),
  /** As stored, or `suspended` or `leaving`. */
  state: z.string(),
  suspendedAt: instant.nullable().default(null),
  /** The later enrolment with the same name; kept even if this one answered after all. */
  suspendedBy: text.default(null),
  removingSince: instant.nullable().default(null),
  /** Since when a signature alone is not enough. */
  tlsRequiredSince: instant.nullable().default(null),
  /** Signed messages without TLS identity that were repeated byte for byte. */
  repeatedMessages: z.number().default(0),
  repeatedAt: instant.nullable().default(null),
  udid: text,
  serialNumber: text,
  model: text,
  product: text,
  osVersion: text,
  softwareVersion: text,
  pushState: z.string(),
  appliedPolicyRevision: text,
  appliedBooksRevision: text,
  synchronizedAt: instant.nullable(),
  lastSeenAt: instant.nullable(),
  identityExpiresAt: instant.nullable().default(null),
  identityRenewal: z
    .object({
      state: word('not-due', 'due', 'under-way', 'unused', 'failed'),
      attempts: z.number().default(0),
      text: z.string(),
    })
    .nullable()
    .default(null),
  createdAt: instant,
  pendingCommands: z.number(),
  /** Commands handed to the device without an answer often enough to be reported. */
  unansweredCommands: z.number().default(0),
  mustEnrolAgain: z.boolean().describe('Its push topic is no longer the domain’s.').default(false),
  openDeliveries: z.number(),
});
export type Device = z.output<typeof device>;
const deviceDetails = device.extend({ options: freeForm, inventory: freeForm });
export type DeviceDetails = z.output<typeof deviceDetails>;
const devicePage = z.object({ devices: z.array(device), next });
export const deviceSorts = ['id', 'createdAt', 'serialNumber', 'model'] as const;
export type DeviceOrder = Sort<(typeof deviceSorts)[number]>;
const typedWord = z.string().min(1).max(100);

export const shownDeviceStates = [
  'offered',
  'certified',
  'authenticated',
  'active',
  'gone',
  'suspended',
  'leaving',
] as const;
export type ShownDeviceState = (typeof shownDeviceStates)[number];
const tag = 'devices';

export const deviceOperations = {
  list: {
    right: 'devices.read',
    scope: 'chosen',
    ...{ method: 'GET', path: '/devices', tag, summary: 'List devices' },
    query: z.object({
      account: name.optional(),
      instance: name.optional().describe('Only devices of accounts of this instance.'),
      group: name.optional().describe('Only devices of accounts in this group.'),
      platform: typedWord.optional(),
      model: typedWord.optional(),
      software: typedWord
        .optional()
        .describe('The version of its software, or of its operating system where it has not told that.'),
      state: z.enum(shownDeviceStates).optional(),
      unanswered: z
        .stringbool()
        .default(false)
        .describe('Only devices that repeatedly received a command without answering.'),
      mustEnrolAgain: z
        .stringbool()
        .default(false)
        .describe('Only devices with a push topic that is no longer the domain’s.'),
      identityEndsWithinDays: z.coerce
        .number<number>()
        .min(0)
        .max(10_000)
        .optional()
        .describe('Only active devices whose identity certificate expires within this many days, or has expired.'),
      ...pageQuery(deviceSorts, listLimit(1000).default(200)),
    }),
    answer: devicePage,
  },
  listOfAccount: {
    right: 'devices.read',
    scope: 'account',
    ...{ method: 'GET', path: '/accounts/:name/devices', tag, summary: 'List the devices of an account' },
    params: byName,
    query: z.object(pageQuery(deviceSorts, listLimit(1000).default(1000))),
    answer: devicePage,
  },
  show: {
    right: 'devices.read',
    scope: 'device',
    ...{ method: 'GET', path: '/devices/:id', tag, summary: 'Show a device with its options and inventory' },
    revised: true,
    revisedBy: ['id', 'account', 'state', 'suspendedAt', 'removingSince', 'tlsRequiredSince', 'serialNumber'],
    params: byId,
    answer: deviceDetails,
  },
  remove: {
    right: 'devices.remove',
    scope: 'device',
    ...{ method: 'DELETE', path: '/devices/:id', tag },
    revised: true,
    summary: 'Remove a device: told to leave (its enrolment ends when it answers), or silently and at once',
    params: byId,
    query: z.object({
      tell: z
        .enum(['true', 'false'])
        .default('true')
        .describe('`false`: the device is refused from now on, but keeps its profiles.'),
    }),
    answer: z.object({
      state: word('leaving', 'gone'),
      commandUuid: z
        .string()
        .nullable()
        .describe('The id of the command that waits for the device and makes it leave.'),
      endsAt: instant.nullable().describe('When the enrolment ends if the device does not answer.'),
      toldWhenItComes: z.boolean().describe('Whether the device is told to leave if it connects again.'),
    }),
  },
  clearTlsIdentity: {
    right: 'devices.identities',
    ...{ method: 'DELETE', path: '/devices/:id/tls-identity', tag },
    revised: true,
    summary: 'Let a device authenticate by signature alone until it has used TLS on three more days',
    params: byId,
    status: 204,
    answer: nothing,
  },
  countTlsIdentities: {
    right: 'servers.read',
    ...{ method: 'GET', path: '/tls-identities', tag },
    summary: 'How many devices must authenticate in TLS, and for how many days are being counted',
    answer: z.object({ required: z.number(), counting: z.number() }),
  },
  clearTlsIdentities: {
    right: 'devices.identities',
    ...{ method: 'DELETE', path: '/tls-identities', tag },
    summary: 'The same for all devices, for example when a proxy will terminate TLS in front of the routers',
    answer: z.object({ devices: z.number() }),
  },
} as const satisfies Operations;
