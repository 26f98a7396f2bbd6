/** JSON over HTTP: what a device says, signed with its key. */
import { verify } from 'node:crypto';
import * as z from 'zod';
import { BrambleError } from '../../src/base/errors.ts';
import type { DeviceProtocol } from '../../src/platforms/protocol.ts';
import { jsonAddresses } from './addresses.ts';

const shapes = {
  enrolment: z.object({ account: z.string(), password: z.string() }),
  identity: z.object({ challenge: z.string(), key: z.base64(), attempt: z.string() }),
  work: z.object({ name: z.string(), status: z.enum(['idle', 'done', 'failed', 'later']), id: z.string().default('') }),
  self: z.discriminatedUnion('says', [
    z.object({ says: z.literal('here I am'), name: z.string(), model: z.string() }),
    z.object({ says: z.literal('wake me'), name: z.string(), url: z.string(), secret: z.string() }),
    z.object({ says: z.literal('goodbye'), name: z.string() }),
  ]),
};

function read<Shape extends z.ZodType>(shape: Shape, body: Buffer): z.output<Shape> {
  try {
    return shape.parse(JSON.parse(body.toString()));
  } catch (error) {
    throw new BrambleError('ERR_INPUT', 'The message is not as it should be.', { cause: error });
  }
}

const nothing = { serialNumber: null, product: null, osVersion: null, softwareVersion: null };

export const jsonProtocol: DeviceProtocol = {
  addressOf: jsonAddresses(() => jsonProtocol),
  prove: ({ header, body }, keys) => {
    const known = keys.get(Buffer.from(header('json-certificate') ?? '', 'base64'));
    if (!verify('sha256', body, known.key, Buffer.from(header('json-signature') ?? '', 'base64'))) {
      throw new BrambleError('ERR_SIGNATURE_INVALID', 'The signature is not of this body and certificate.');
    }
    const { fingerprint, certificateDer } = known;
    const signature = { covered: body, signedAt: undefined };
    return { fingerprint, overTls: false, otherInTls: undefined, signature, certificateDer: () => certificateDer };
  },
  readReport: (body) => {
    const { status, name: deviceName, id: commandId } = read(shapes.work, body);
    if (status === 'idle') return { status, deviceName, onUserChannel: false };
    const kept = { answer: { status }, essentials: ['status'], bareAnswer: { status }, inventory: null };
    return {
      status,
      deviceName,
      onUserChannel: false,
      commandId,
      ...kept,
      inventoryRequest: '',
      optionNames: new Set(),
    };
  },
  readAnnouncement: (body) => {
    const message = read(shapes.self, body);
    const names = { hardwareId: message.name, enrolmentId: null };
    switch (message.says) {
      case 'here I am':
        return { kind: 'enrols', names, channel: null, facts: { ...nothing, model: message.model } };
      case 'wake me': {
        const address = { token: Buffer.from(message.url), secret: message.secret, channel: null };
        return { kind: 'wake-address', names, user: null, address, unlockSecret: null };
      }
      case 'goodbye':
        return { kind: 'leaves', names, user: null };
    }
  },
  faults: new Set(),
  contentType: 'application/json',
  writeSecret: (secret) => Buffer.from(JSON.stringify({ secret: secret && Buffer.from(secret).toString('base64') })),
  leaveStatus: 410,
  readEnrolment: (_contentType, body) => {
    const { account: accountName, password } = read(shapes.enrolment, body);
    return { accountName, password, platform: 'json', signed: false };
  },
  identity: {
    read: (body) => {
      const { challenge, key, attempt: transactionId } = shapes.identity.parse(JSON.parse(body.toString()));
      return { challenge, renews: null, publicKeySpkiDer: Buffer.from(key, 'base64'), transactionId };
    },
    write: (der) => Buffer.from(JSON.stringify({ certificate: Buffer.from(der).toString('base64') })),
  },
};
