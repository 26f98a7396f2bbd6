/** Orders of platforms whose devices read Apple's profiles and commands. Pure. */
import { type CommandRequest, commandRequest, serializeCommand } from '../../protocol/apple/command.ts';
import { synchronizationQueries } from '../../protocol/apple/device-information.ts';
import type { Compiler, Order } from '../order.ts';
import { compilePolicy } from './compile-policy.ts';
import { type CompiledProfile, revisionOf } from './compiled-profile.ts';
import type { ProfileReaders } from './device-family.ts';
import { compileServiceBooks } from './service-books.ts';

export function createProfileCompiler(readers: ProfileReaders): Compiler {
  const synchronization = orderOf(commandRequest.deviceInformation(synchronizationQueries), {
    revision: revisionOf(Buffer.from(synchronizationQueries.join('\n'))),
    skipped: [],
  });
  return {
    variantOf: (device) => {
      const { family, version } = readers.kindOf(device);
      return `${family} ${version}`;
    },
    minVersions: (rule) => (Object.hasOwn(readers.rules, rule) ? (readers.rules[rule] ?? {}) : {}),
    policy: (facts) => installation(compilePolicy(facts, readers)),
    serviceBooks: (facts) => {
      const books = compileServiceBooks(facts, readers);
      return books && installation(books);
    },
    synchronization: () => synchronization,
  };
}

/** A profile to install. */
export function installation(profile: Pick<CompiledProfile, 'bytes' | 'revision' | 'skipped'>): Order {
  return orderOf(commandRequest.installProfile(profile.bytes), profile);
}

export function orderOf(request: CommandRequest, { revision, skipped }: Pick<Order, 'revision' | 'skipped'>): Order {
  return {
    requestType: request.requestType,
    revision,
    skipped,
    write: (commandUuid) => serializeCommand({ commandUuid, ...request }),
  };
}
