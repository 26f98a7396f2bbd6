/** Commands that an administrator sends to a device, and the device's command queue: show, cancel, requeue. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { next, pageQuery } from './paging.ts';
import { byId, freeForm, instant, listLimit, nothing, owedDeliveries } from './shapes.ts';
import { typedText } from './typed-text.ts';

/** Under the names that 1.2 published. Each platform writes those that its devices support in its own words. */
export const operatorCommand = z.discriminatedUnion('requestType', [
  z.object({
    requestType: z.literal('DeviceLock'),
    pin: z
      .string()
      .regex(/^\d{6}$/, 'six digits')
      .optional()
      .describe('six digits: the new password of a computer'),
    message: typedText(1000, { lines: true }).optional(),
    phoneNumber: typedText(100).optional(),
  }),
  z.object({
    requestType: z.literal('DeviceInformation'),
    queries: z
      .array(z.string().min(1).max(100))
      .min(1)
      .max(200)
      .optional()
      .describe('a list, such as ["OSVersion","SerialNumber"]'),
  }),
  z.object({ requestType: z.literal('ProfileList') }),
  z.object({
    requestType: z.literal('InstallProfile'),
    payload: z.base64().min(1).describe('a configuration profile in base64'),
  }),
  z.object({ requestType: z.literal('RemoveProfile'), identifier: z.string().min(1).max(500) }),
]);
/** Whatever a profile may say: roots of trust, networks, restrictions. */
export const profileCommands: readonly OperatorCommand['requestType'][] = ['InstallProfile', 'RemoveProfile'];
export type OperatorCommand = z.output<typeof operatorCommand>;

const deviceCommand = z.object({
  commandUuid: z.string(),
  requestType: z.string(),
  state: z.string(),
  urgent: z.boolean(),
  deliveryId: z.string().nullable(),
  queuedAt: instant,
  sentAt: instant.nullable(),
  sentCount: z.number(),
  unanswered: z.number().default(0),
  answeredAt: instant.nullable(),
  answer: freeForm.nullable().default(null),
});

const choice = z.object({
  handedOut: z
    .stringbool()
    .default(false)
    .describe('Also commands that the device has already received. It may still execute them; its answer is ignored.'),
});
/** How many commands were changed, and how many deliveries with them. */
const changedCommands = z.object({ commands: z.number(), deliveries: z.number() });
export type ChangedCommands = z.output<typeof changedCommands>;
const tag = 'devices';

export const resendableItems = ['it-policy', 'service-books', 'synchronization', 'device-identity'] as const;
export type ResendableItem = (typeof resendableItems)[number];

export const deviceCommandOperations = {
  queue: {
    right: 'devices.command',
    furtherRight: 'devices.profiles',
    scope: 'device',
    ...{
      method: 'POST',
      path: '/devices/:id/commands',
      tag,
      summary: 'Queue a command; a lock goes to the front of the queue',
    },
    params: byId,
    body: operatorCommand,
    status: 201,
    answer: z.object({ commandUuid: z.string() }),
  },
  list: {
    right: 'devices.read',
    scope: 'device',
    ...{ method: 'GET', path: '/devices/:id/commands', tag },
    summary: 'The newest commands of a device, with their answers',
    params: byId,
    query: z.object(pageQuery(['queuedAt'], listLimit(1000).default(100), '-queuedAt')),
    answer: z.object({ commands: z.array(deviceCommand), next }),
  },
  resend: {
    right: 'devices.repair',
    scope: 'device',
    ...{ method: 'POST', path: '/devices/:id/resend', tag },
    summary: 'Send the IT policy, service books, a synchronization or an identity renewal, regardless of the budget',
    params: byId,
    body: z.object({ item: z.enum(resendableItems) }),
    answer: owedDeliveries,
  },
  cancel: {
    right: 'devices.repair',
    scope: 'command',
    ...{ method: 'DELETE', path: '/commands/:id', tag },
    summary: 'Cancel an unsettled command; the delivery that it carries fails',
    params: byId,
    query: choice,
    status: 204,
    answer: nothing,
  },
  cancelOfDevice: {
    right: 'devices.repair',
    scope: 'device',
    ...{ method: 'DELETE', path: '/devices/:id/commands', tag },
    summary: 'Cancel the unsettled commands of a device; the deliveries they carry fail',
    params: byId,
    query: choice,
    answer: changedCommands,
  },
  requeue: {
    right: 'devices.repair',
    scope: 'command',
    ...{ method: 'POST', path: '/commands/:id/requeue', tag },
    summary: 'Put an unsettled command back into the queue, as if it had never been handed out',
    params: byId,
    answer: changedCommands,
  },
  requeueOfDevice: {
    right: 'devices.repair',
    scope: 'device',
    ...{ method: 'POST', path: '/devices/:id/commands/requeue', tag },
    summary: 'Put the unsettled commands of a device back into the queue',
    params: byId,
    answer: changedCommands,
  },
  requeueSilent: {
    right: 'deliveries.write',
    ...{ method: 'POST', path: '/commands/requeue-silent', tag },
    summary: 'Take back budgeted commands from silent devices: slots and suspects become free',
    answer: changedCommands,
  },
} as const satisfies Operations;
