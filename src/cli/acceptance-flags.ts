/** What an operator takes by name of a release’s signature, as options of every command that takes an archive. */
import type { Command } from 'commander';

export interface AcceptanceFlags {
  acceptSigner?: string;
  acceptUnsigned?: string;
}

/** For every command that takes an archive. */
export function acceptanceOptions(command: Command): Command {
  return command
    .option('--accept-signer <fingerprint>', 'accept a release from this signer, whoever signed the earlier ones')
    .option('--accept-unsigned <release>', 'accept this release although it is not signed and earlier ones were');
}

/** As a request says it, and only where it was said: a service of 1.1 refuses what it does not know. */
export function acceptanceOf({ acceptSigner, acceptUnsigned }: AcceptanceFlags): AcceptanceFlags {
  return {
    ...(acceptSigner === undefined ? {} : { acceptSigner }),
    ...(acceptUnsigned === undefined ? {} : { acceptUnsigned }),
  };
}
