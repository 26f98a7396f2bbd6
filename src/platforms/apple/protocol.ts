/** Apple's protocol, put together: property lists over HTTP, signed by the device. */
import { serializeBootstrapToken } from '../../protocol/apple/checkin.ts';
import type { DeviceProtocol } from '../protocol.ts';
import { parseActivationForm } from './activation-form.ts';
import { appleAddresses } from './addresses.ts';
import { identityOf } from './identity.ts';
import { readAnnouncement, readReport } from './messages.ts';

export const appleProtocol: DeviceProtocol = {
  addressOf: appleAddresses(() => appleProtocol),
  prove: ({ header, clientCertHeader, body }, keys) =>
    identityOf({ mdmSignature: header('mdm-signature'), clientCertHeader, body }, keys),
  readReport,
  readAnnouncement,
  faults: new Set([
    'ERR_PLIST_MALFORMED',
    'ERR_PLIST_TOO_DEEP',
    'ERR_PLIST_TOO_LARGE',
    'ERR_CHECKIN_MALFORMED',
    'ERR_CONNECT_MALFORMED',
  ]),
  contentType: 'application/xml; charset=utf-8',
  writeSecret: (secret) => serializeBootstrapToken(secret ?? undefined),
  // 403 with Apple's unenrol reasons would do it too.
  leaveStatus: 401,
  readEnrolment: parseActivationForm,
  identity: null,
};
