/** `/json/enrol`, and `/json/<token>/identity`, `self` and `work`. */
import { type AddressRule, type DeviceProtocol, pathToken } from '../../src/platforms/protocol.ts';

export function jsonAddresses(protocol: () => DeviceProtocol): DeviceProtocol['addressOf'] {
  const rule = (kind: string, purpose: AddressRule['purpose']) => ({
    ...{ kind, purpose, maxBytes: 8192 },
    get protocol() {
      return protocol();
    },
  });
  const enrol = { rule: rule('json-enrol', 'enrolment'), token: '' };
  const rules: Readonly<Record<string, AddressRule>> = {
    identity: rule('json-identity', 'identity'),
    self: rule('json-self', 'announcements'),
    work: rule('json-work', 'commands'),
  };
  return (url) => {
    if (url === '/json/enrol') return enrol;
    const [, token = '', name = ''] = /^\/json\/([^/]+)\/(identity|self|work)$/.exec(url) ?? [];
    const found = rules[name];
    return found !== undefined && pathToken.test(token) ? { rule: found, token } : undefined;
  };
}
