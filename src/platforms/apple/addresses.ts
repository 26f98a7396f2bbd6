/**
 * The addresses of Apple's protocol, and how much a request at each may bring:
 *
 *   PUT  /mdm/<token>/checkin   check-in         PUT /mdm/<token>/connect   commands and their answers
 *   GET|POST /scep/<token>      identities       POST /activate             enrolment profiles
 *
 * Invariant: enrolled devices keep their addresses for ever; and no address accepts more than is actually sent there.
 */
import { type AddressRule, type DeviceAddress, type DeviceProtocol, pathToken } from '../protocol.ts';

const activation = /^\/activate(?:\?|$)/;
const ofDevice = /^\/(mdm|scep)\/([^/?]*)(?:\/(checkin|connect))?(?:\?|$)/;

/** A form with a name and a password; a certificate request in its envelope; inventories and lists of profiles. */
export const appleBodyBytes = {
  activate: 4 * 1024,
  scep: 64 * 1024,
  checkin: 1024 * 1024,
  connect: 1024 * 1024,
} as const;

/** The addresses of `protocol`, by path and query. */
export function appleAddresses(protocol: () => DeviceProtocol): DeviceProtocol['addressOf'] {
  const ruleOf = (kind: keyof typeof appleBodyBytes, purpose: AddressRule['purpose']): AddressRule => ({
    ...{ kind, purpose, maxBytes: appleBodyBytes[kind] },
    get protocol() {
      return protocol();
    },
  });
  const rules: Readonly<Record<string, AddressRule>> = {
    scep: ruleOf('scep', 'scep'),
    checkin: ruleOf('checkin', 'announcements'),
    connect: ruleOf('connect', 'commands'),
  };
  const toActivate: DeviceAddress = { rule: ruleOf('activate', 'enrolment'), token: '' };
  const withoutToken: DeviceAddress = {
    rule: { kind: 'no-token', purpose: 'none', maxBytes: 0, protocol: null },
    token: '',
  };
  return (url) => {
    if (activation.test(url)) return toActivate;
    const [, place, token = '', message] = ofDevice.exec(url) ?? [];
    const kind = place === 'scep' && message === undefined ? 'scep' : place === 'mdm' ? message : undefined;
    const rule = kind === undefined ? undefined : rules[kind];
    if (rule === undefined) return undefined;
    return pathToken.test(token) ? { rule, token } : withoutToken;
  };
}
