/**
 * Compiles the service books of one account for one kind of device into one profile. Pure.
 * Invariant: the UID of each service book holds the SRP identifier of the account's instance, so a move changes it and the
 * books must be sent again; the profile's identifier does not, so the new ones replace the old.
 */
import { isIP } from 'node:net';
import { messageOf } from '../../base/errors.ts';
import type { PlistDictionary } from '../../protocol/plist/value.ts';
import { parseServiceSettings, type ServiceSettings, type ServiceType } from '../../services/services.ts';
import type { ServiceBookFacts, SkippedPart } from '../order.ts';
import { type CompiledProfile, compileProfile } from './compiled-profile.ts';
import { type MinVersions, meetsLeast, type ProfileReaders } from './device-family.ts';

/**
 * Minimum Apple system versions that support a service's payload. @see Apple device-management, supportedOS of each
 * payload
 */
export const serviceSystems: Readonly<Record<ServiceType, MinVersions>> = {
  '[CMIME]': { ios: '4.0', macos: '10.7' },
  '[CICAL]': { ios: '4.0', macos: '10.7' },
  '[SYNC]': { ios: '5.0', macos: '10.8' },
  '[IPPP]': { ios: '17.0', macos: '14.0' },
};

function serviceBooksIdentifier(domainId: string): string {
  return `bramble.${domainId}.service-books`;
}

/** Type and SRP identifier, such as `[CMIME]-S10000001`. */
function serviceBookUid(type: ServiceType, srpIdentifier: string): string {
  return `${type}-${srpIdentifier}`;
}

/** The profile; undefined for a device that does not support service books at all. */
export function compileServiceBooks(input: ServiceBookFacts, readers: ProfileReaders): CompiledProfile | undefined {
  if (!readers.takesServiceBooks(input.device)) return undefined;
  const kind = readers.kindOf(input.device);
  const skipped: SkippedPart[] = [];
  const payloads = [...input.services]
    .sort((a, b) => (a.type < b.type ? -1 : 1))
    .flatMap(({ type, settings }) => {
      if (!meetsLeast(readers.services[type], kind)) {
        skipped.push({
          name: type,
          reason: 'not-for-device',
          message: `${kind.family} ${kind.version} does not support service book ${type}`,
        });
        return [];
      }
      try {
        const uid = serviceBookUid(type, input.srpIdentifier);
        const book = bookOf(type, settings, input);
        const description = `Service book ${uid} of ${input.domain.name}`;
        return [{ ...book, name: uid, displayName: uid, description }];
      } catch (error) {
        // One service with settings that are no longer valid must not block the others: it is reported.
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

function bookOf(type: ServiceType, settings: unknown, input: ServiceBookFacts): Book {
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
function mail(settings: ServiceSettings<'[CMIME]'>, input: ServiceBookFacts): Book {
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
  input: ServiceBookFacts,
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
function relay(settings: ServiceSettings<'[IPPP]'>, input: ServiceBookFacts): Book {
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

function filled(template: string, input: ServiceBookFacts): string {
  return template.replaceAll('{account}', () => input.account.name);
}
