/**
 * Compiles the service books of one account for one kind of device into one profile. Pure.
 * Invariant: the UID of each service book holds the SRP identifier of the account's instance, so a move changes it and the
 * books must be sent again; the profile's identifier does not, so the new ones replace the old.
 */
import { isIP } from 'node:net';
import { messageOf } from '../../base/errors.ts';
import { itemsOwedTo } from '../../devices/delivery-items.ts';
import { type DeviceDescription, type DeviceFamily, familyOf, meetsLeast } from '../../policies/device-family.ts';
import type { PlistDictionary } from '../../protocol/plist/value.ts';
import { parseServiceSettings, type ServiceSettings, type ServiceType } from '../../services/services.ts';
import type { DomainFacts } from './compile-policy.ts';
import { type CompiledProfile, compileProfile, type SkippedPart } from './compiled-profile.ts';

export interface ServiceBookInput {
  readonly domain: DomainFacts & {
    /** `https://<tunnel host>:<port>`: where the connection service's tunnels are opened. */
    readonly tunnelUrl: string;
  };
  readonly account: { readonly name: string; readonly displayName: string };
  /** Of the account's instance. */
  readonly srpIdentifier: string;
  readonly services: readonly { readonly type: ServiceType; readonly settings: unknown }[];
  readonly device: DeviceDescription;
  readonly release: string;
}

/** Least version of each family that takes a service's payload. @see Apple device-management, supportedOS of each payload */
const least: Readonly<Record<ServiceType, Readonly<Partial<Record<DeviceFamily, string>>>>> = {
  '[CMIME]': { ios: '4.0', macos: '10.7', agent: '4.0' },
  '[CICAL]': { ios: '4.0', macos: '10.7', agent: '4.0' },
  '[SYNC]': { ios: '5.0', macos: '10.8', agent: '4.0' },
  '[IPPP]': { ios: '17.0', macos: '14.0', agent: '4.0' },
};

export function serviceBooksIdentifier(domainId: string): string {
  return `bramble.${domainId}.service-books`;
}

/** Type and SRP identifier, such as `[CMIME]-S10000001`. */
export function serviceBookUid(type: ServiceType, srpIdentifier: string): string {
  return `${type}-${srpIdentifier}`;
}

/** The profile; undefined for a device that takes no service books at all (agent software before 4.0). */
export function compileServiceBooks(input: ServiceBookInput): CompiledProfile | undefined {
  if (!itemsOwedTo(input.device).includes('service-books')) return undefined;
  const { family, version } = familyOf(input.device);
  const skipped: SkippedPart[] = [];
  const payloads = [...input.services]
    .sort((a, b) => (a.type < b.type ? -1 : 1))
    .flatMap(({ type, settings }) => {
      if (!meetsLeast(least[type], family, version)) {
        skipped.push({
          name: type,
          reason: 'not-for-device',
          message: `${family} ${version} takes no service book ${type}`,
        });
        return [];
      }
      try {
        const uid = serviceBookUid(type, input.srpIdentifier);
        const book = bookOf(type, settings, input);
        const description = `Service book ${uid} of ${input.domain.name}`;
        return [{ ...book, name: uid, displayName: uid, description }];
      } catch (error) {
        // One service with settings that no longer fit must not keep the others from the device: it is reported.
        skipped.push({ name: type, reason: 'invalid', message: messageOf(error) });
        return [];
      }
    });
  return compileProfile({
    identifier: serviceBooksIdentifier(input.domain.domainId),
    displayName: 'Service books',
    description: `Service books of ${input.domain.name} through ${input.srpIdentifier}, compiled by Bramble ${input.release}`,
    organization: input.domain.name,
    release: input.release,
    payloads,
    skipped,
  });
}

interface Book {
  readonly type: string;
  readonly content: PlistDictionary;
}

function bookOf(type: ServiceType, settings: unknown, input: ServiceBookInput): Book {
  switch (type) {
    case '[CMIME]':
      return mail(parseServiceSettings(type, settings), input);
    case '[CICAL]':
      return dav('com.apple.caldav.account', 'CalDAV', parseServiceSettings(type, settings), input);
    case '[SYNC]':
      return dav('com.apple.carddav.account', 'CardDAV', parseServiceSettings(type, settings), input);
    case '[IPPP]':
      return relay(parseServiceSettings(type, settings), input);
  }
}

/** @see Apple device-management, mdm/profiles/com.apple.mail.managed and com.apple.eas.account */
function mail(settings: ServiceSettings<'[CMIME]'>, input: ServiceBookInput): Book {
  const address = filled(settings.address, input);
  if (settings.protocol === 'exchange') {
    return {
      type: 'com.apple.eas.account',
      content: {
        EmailAddress: address,
        Host: settings.host,
        SSL: settings.useTls,
        UserName: filled(settings.username, input),
        MailNumberOfPastDaysToSync: settings.pastDays,
      },
    };
  }
  const { incoming, outgoing } = settings;
  return {
    type: 'com.apple.mail.managed',
    content: {
      EmailAccountType: 'EmailTypeIMAP',
      EmailAccountName: input.account.displayName,
      EmailAccountDescription: input.domain.name,
      EmailAddress: address,
      IncomingMailServerAuthentication: 'EmailAuthPassword',
      IncomingMailServerHostName: incoming.host,
      IncomingMailServerPortNumber: incoming.port ?? (incoming.useTls ? 993 : 143),
      IncomingMailServerUseSSL: incoming.useTls,
      IncomingMailServerUsername: filled(incoming.username, input),
      OutgoingMailServerAuthentication: 'EmailAuthPassword',
      OutgoingMailServerHostName: outgoing.host,
      OutgoingMailServerPortNumber: outgoing.port ?? (outgoing.useTls ? 465 : 25),
      OutgoingMailServerUseSSL: outgoing.useTls,
      OutgoingMailServerUsername: filled(outgoing.username, input),
      OutgoingPasswordSameAsIncomingPassword: true,
    },
  };
}

/** @see Apple device-management, mdm/profiles/com.apple.caldav.account and com.apple.carddav.account */
function dav(
  type: string,
  prefix: 'CalDAV' | 'CardDAV',
  settings: ServiceSettings<'[CICAL]'>,
  input: ServiceBookInput,
): Book {
  return {
    type,
    content: {
      [`${prefix}AccountDescription`]: input.domain.name,
      [`${prefix}HostName`]: settings.host,
      [`${prefix}Port`]: settings.port ?? (settings.useTls ? 443 : 80),
      [`${prefix}UseSSL`]: settings.useTls,
      [`${prefix}Username`]: filled(settings.username, input),
    },
  };
}

/** @see Apple device-management, mdm/profiles/com.apple.relay.managed */
function relay(settings: ServiceSettings<'[IPPP]'>, input: ServiceBookInput): Book {
  const url = new URL(input.domain.tunnelUrl);
  if (url.protocol !== 'https:' || isIP(url.hostname.replace(/^\[|\]$/g, '')) !== 0) {
    throw new TypeError(`the tunnel address ${url.origin} is not an https address with a host name`);
  }
  return {
    type: 'com.apple.relay.managed',
    content: {
      Relays: [{ HTTP2RelayURL: url.href }],
      MatchDomains: settings.matchDomains,
      ...(settings.excludedDomains.length === 0 ? {} : { ExcludedDomains: settings.excludedDomains }),
    },
  };
}

function filled(template: string, input: ServiceBookInput): string {
  return template.replaceAll('{account}', () => input.account.name);
}
