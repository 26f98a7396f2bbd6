/** Devices, their command queues, and what an administrator sends to them by hand. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { enrollmentIdentifier } from '../../activation/enrollment.ts';
import { accountNameOf } from '../../base/account-name.ts';
import { BrambleError } from '../../base/errors.ts';
import type { CommandId, DeviceId } from '../../base/ids.ts';
import {
  type ChangedCommands,
  cancelCommands,
  listCommands,
  queueCommand,
  requeueCommands,
} from '../../devices/command-queue.ts';
import { removeDevice } from '../../devices/device-removal.ts';
import { clearTlsIdentities, clearTlsIdentity } from '../../devices/tls-identity.ts';
import { getAccount } from '../../directory/accounts.ts';
import { readDomain } from '../../domain/domain.ts';
import { recordEvent } from '../../domain/events.ts';
import { readBudget } from '../../policy/delivery/budget.ts';
import { announceDeliveries, oweDeliveries } from '../../policy/delivery/owe-deliveries.ts';
import { takeBackAllSilent } from '../../policy/delivery/suspects.ts';
import { notFound } from '../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { type DeviceFilter, findDevice, listDevices } from '../device-list.ts';
import { buildOperatorCommand, operatorCommand } from '../operator-command.ts';
import { instant, jsonObject, name, nothing } from '../shapes.ts';

const text = z.string().nullable();
const deviceShape = z.object({
  id: z.string(),
  account: z.string(),
  instance: z.string(),
  platform: z.string(),
  state: z.string(),
  suspendedAt: instant.nullable(),
  suspendedBy: text,
  removingSince: instant.nullable(),
  tlsRequiredSince: instant.nullable(),
  repeatedMessages: z.number(),
  repeatedAt: instant.nullable(),
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
  identityExpiresAt: instant.nullable(),
  createdAt: instant,
  pendingCommands: z.number(),
  unansweredCommands: z.number(),
  mustEnrolAgain: z.boolean().describe('It knows a push topic that is not the domain’s any more.'),
  openDeliveries: z.number(),
});
const commandShape = z.object({
  commandUuid: z.string(),
  requestType: z.string(),
  state: z.string(),
  urgent: z.boolean(),
  deliveryId: text,
  queuedAt: instant,
  sentAt: instant.nullable(),
  sentCount: z.number(),
  unanswered: z.number(),
  answeredAt: instant.nullable(),
  answer: jsonObject.nullable(),
});
const devicesShape = z.object({ devices: z.array(deviceShape), next: z.string().nullable() });
const state = z.enum(['offered', 'certified', 'authenticated', 'active', 'suspended', 'leaving', 'gone']);
const params = z.object({ id: z.uuid() });
const handedOut = z
  .stringbool()
  .default(false)
  .describe('Also what the device has in hand. It may carry it out; its answer is ignored.');
/** How many commands were changed, and how many deliveries with them. */
const changedShape = z.object({ commands: z.number(), deliveries: z.number() });
/** Devices whose rows one transaction holds. */
const clearedAtOnce = 500;
const tags = ['devices'];

export function deviceRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  async function devicePage(filter: DeviceFilter) {
    const rows = await listDevices(context.db, { ...filter, limit: filter.limit + 1 });
    const devices = rows.slice(0, filter.limit);
    return { devices, next: rows.length > filter.limit ? (devices.at(-1)?.id ?? null) : null };
  }

  return async (app) => {
    app.route({
      method: 'GET',
      url: '/devices',
      schema: {
        tags,
        summary: 'List devices',
        querystring: z.object({
          account: name.optional(),
          state: state.optional(),
          unanswered: z
            .stringbool()
            .default(false)
            .describe('Only devices that were handed a command again and again.'),
          mustEnrolAgain: z
            .stringbool()
            .default(false)
            .describe('Only devices that know a push topic that is not the domain’s any more.'),
          after: z.uuid().optional().describe('The `next` of the page before.'),
          limit: z.coerce.number().int().min(1).max(1000).default(200),
        }),
        response: { 200: devicesShape },
      },
      handler: async (request) => await devicePage(request.query),
    });

    app.route({
      method: 'GET',
      url: '/accounts/:name/devices',
      schema: {
        tags,
        summary: 'List the devices of an account',
        params: z.object({ name }),
        response: { 200: devicesShape },
      },
      handler: async (request) => {
        const account = await getAccount(context.db, accountNameOf(request.params.name));
        if (account === undefined) throw notFound('account', request.params.name);
        return await devicePage({ account: account.name, limit: 1000 });
      },
    });

    app.route({
      method: 'GET',
      url: '/devices/:id',
      schema: {
        tags,
        summary: 'Show a device with its options and inventory',
        params,
        response: { 200: deviceShape.extend({ options: jsonObject, inventory: jsonObject }) },
      },
      handler: async (request) => {
        const device = await findDevice(context.db, request.params.id);
        if (device === undefined) throw notFound('device', request.params.id);
        return device;
      },
    });

    app.route({
      method: 'DELETE',
      url: '/devices/:id',
      schema: {
        tags,
        summary: 'Remove a device: told to leave (its enrolment ends when it answers), or silently and at once',
        params,
        querystring: z.object({
          tell: z
            .enum(['true', 'false'])
            .default('true')
            .describe('`false`: the device is refused from now on, but keeps its profiles.'),
        }),
        response: {
          200: z.object({
            state: z.enum(['leaving', 'gone']),
            commandUuid: text.describe('Of the RemoveProfile that waits for the device.'),
            endsAt: instant.nullable().describe('When the enrolment ends if the device does not answer.'),
            toldWhenItComes: z.boolean().describe('Whether an ended device is told to leave if it comes again.'),
          }),
        },
      },
      handler: async (request) => {
        const deviceId = request.params.id as DeviceId;
        const identifier = enrollmentIdentifier(await readDomain(context.db));
        const command = buildOperatorCommand({ requestType: 'RemoveProfile', identifier });
        const tell = request.query.tell === 'true';
        const outcome = await write(context, async (tx) => {
          const removed = await removeDevice(tx, { deviceId, tell, command });
          if (removed.kind === 'not-found') throw notFound('device', deviceId);
          await recordEvent(tx, {
            kind: 'device-removed',
            subject: deviceId,
            message: `${request.administrator} removed the device ${deviceId}${tell ? '' : ' silently'}.`,
          });
          return removed;
        });
        if (outcome.kind === 'ended') {
          return { state: 'gone' as const, commandUuid: null, endsAt: null, toldWhenItComes: outcome.tells };
        }
        const { commandId: commandUuid, until: endsAt } = outcome;
        return { state: 'leaving' as const, commandUuid, endsAt, toldWhenItComes: true };
      },
    });

    app.route({
      method: 'DELETE',
      url: '/devices/:id/tls-identity',
      schema: {
        tags,
        summary: 'Let a device identify itself by signature alone, until it has used TLS on three more days',
        params,
        response: { 204: nothing },
      },
      handler: async (request, reply) => {
        const outcome = await write(context, (tx) => clearTlsIdentity(tx, request.params.id as DeviceId));
        if (outcome === 'not-found') throw notFound('device', request.params.id);
        return await reply.status(204).send(null);
      },
    });

    app.route({
      method: 'DELETE',
      url: '/tls-identities',
      schema: {
        tags,
        summary: 'The same of all devices, such as when a proxy ends TLS in front of the routers from now on',
        response: { 200: z.object({ devices: z.number() }) },
      },
      handler: async () => {
        let devices = 0;
        for (let cleared = clearedAtOnce; cleared === clearedAtOnce; devices += cleared) {
          cleared = await write(context, (tx) => clearTlsIdentities(tx, clearedAtOnce));
        }
        return { devices };
      },
    });

    app.route({
      method: 'POST',
      url: '/devices/:id/commands',
      schema: {
        tags,
        summary: 'Queue a command; a lock jumps the queue',
        params,
        body: operatorCommand,
        response: { 201: z.object({ commandUuid: z.string() }) },
      },
      handler: async (request, reply) => {
        const command = buildOperatorCommand(request.body);
        const deviceId = request.params.id as DeviceId;
        const outcome = await write(context, (tx) => queueCommand(tx, { ...command, deviceId }));
        if (outcome === 'not-found') throw notFound('device', deviceId);
        if (outcome === 'not-active') throw notActive(deviceId);
        return await reply.status(201).send({ commandUuid: command.commandId });
      },
    });

    app.route({
      method: 'GET',
      url: '/devices/:id/commands',
      schema: {
        tags,
        summary: 'The newest commands of a device, with their answers',
        params,
        querystring: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100) }),
        response: { 200: z.object({ commands: z.array(commandShape) }) },
      },
      handler: async (request) => {
        const deviceId = request.params.id as DeviceId;
        if ((await findDevice(context.db, deviceId)) === undefined) throw notFound('device', deviceId);
        const commands = await listCommands(context.db, deviceId, request.query.limit);
        return {
          commands: commands.map(({ commandId, answer, ...command }) => ({
            ...command,
            commandUuid: commandId,
            answer: answer === null ? null : (answer as Record<string, unknown>),
          })),
        };
      },
    });

    app.route({
      method: 'DELETE',
      url: '/commands/:id',
      schema: {
        tags,
        summary: 'Cancel a command that is not settled; the delivery that it carries fails',
        params,
        querystring: z.object({ handedOut }),
        response: { 204: nothing },
      },
      handler: async (request, reply) => {
        const choice = { commandId: request.params.id as CommandId };
        changed(await write(context, (tx) => cancelCommands(tx, choice, request.query)), 'command', request.params.id);
        return await reply.status(204).send(null);
      },
    });

    app.route({
      method: 'DELETE',
      url: '/devices/:id/commands',
      schema: {
        tags,
        summary: 'Cancel the commands of a device that are not settled; deliveries that they carry fail',
        params,
        querystring: z.object({ handedOut }),
        response: { 200: changedShape },
      },
      handler: async (request) => {
        const choice = { deviceId: request.params.id as DeviceId };
        return changed(
          await write(context, (tx) => cancelCommands(tx, choice, request.query)),
          'device',
          choice.deviceId,
        );
      },
    });

    app.route({
      method: 'POST',
      url: '/commands/:id/requeue',
      schema: {
        tags,
        summary: 'Put a command that is not settled back into the queue, as if it had never been handed out',
        params,
        response: { 200: changedShape },
      },
      handler: async (request) => {
        const choice = { commandId: request.params.id as CommandId };
        return changed(await write(context, (tx) => requeueCommands(tx, choice)), 'command', choice.commandId);
      },
    });

    app.route({
      method: 'POST',
      url: '/devices/:id/commands/requeue',
      schema: {
        tags,
        summary: 'Put the commands of a device that are not settled back into the queue',
        params,
        response: { 200: changedShape },
      },
      handler: async (request) => {
        const choice = { deviceId: request.params.id as DeviceId };
        return changed(await write(context, (tx) => requeueCommands(tx, choice)), 'device', choice.deviceId);
      },
    });

    app.route({
      method: 'POST',
      url: '/commands/requeue-silent',
      schema: {
        tags,
        summary:
          'Take back what devices were handed under the budget and are silent about: slots and suspects become free',
        response: { 200: changedShape },
      },
      handler: async () =>
        await write(context, async (tx) => {
          const { suspectAfterSeconds } = await readBudget(tx);
          const taken = await takeBackAllSilent(tx, suspectAfterSeconds);
          await announceDeliveries(tx);
          return { commands: taken.length, deliveries: taken.length };
        }),
    });

    app.route({
      method: 'POST',
      url: '/devices/:id/resend',
      schema: {
        tags,
        summary: 'Send the IT policy, the service books or a synchronization again; not held back by the budget',
        params,
        body: z.object({ item: z.enum(['it-policy', 'service-books', 'synchronization']) }),
        response: { 200: z.object({ deliveriesOwed: z.number() }) },
      },
      handler: async (request) => {
        const { id } = request.params;
        const device = await findDevice(context.db, id);
        if (device === undefined) throw notFound('device', id);
        if (device.state !== 'active') throw notActive(id);
        return await write(context, async (tx) => {
          const owed = await oweDeliveries(tx, {
            deviceIds: [id],
            cause: 'manual',
            budgeted: false,
            items: [request.body.item],
          });
          await announceDeliveries(tx);
          if (owed.length > 0) return { deliveriesOwed: owed.length };
          throw new BrambleError('ERR_STATE', `The device's software is too old for ${request.body.item}.`);
        });
      },
    });
  };
}

/** @throws BrambleError where nothing could be changed. */
function changed(outcome: ChangedCommands, what: 'command' | 'device', id: string) {
  switch (outcome.kind) {
    case 'changed':
      return { commands: outcome.commands, deliveries: outcome.deliveries };
    case 'not-found':
      throw notFound(what, id);
    case 'settled':
      throw new BrambleError('ERR_STATE', `The command ${id} is settled: it was answered or cancelled.`);
    case 'handed-out':
      throw new BrambleError(
        'ERR_STATE',
        'The device has it in hand and may carry it out. `bramble device cancel DEVICE --handed-out` (handedOut=true) ' +
          'cancels it all the same.',
      );
  }
}

function notActive(id: string): BrambleError {
  return new BrambleError('ERR_STATE', `The device ${id} is not under management now, so nothing can be sent to it.`);
}
