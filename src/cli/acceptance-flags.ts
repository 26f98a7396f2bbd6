/**
 * The findings about a release’s signature that an operator accepts by name, as options of every command that takes an
 * archive.
 */
import type { Command } from 'commander';

export interface AcceptanceFlags {
  acceptSigner?: string;
  acceptUnsigned?: string;
}

/** For every command that takes an archive. */
export function acceptanceOptions(command: Command): Command {
  return command
    .option('--accept-signer <fingerprint>', 'accept a release from this signer, even if earlier releases had another')
    .option('--accept-unsigned <release>', 'accept this release although it is not signed and earlier ones were');
}

/** In the form of a request, and only if given: a service of 1.1 refuses unknown members. */
export function acceptanceOf({ acceptSigner, acceptUnsigned }: AcceptanceFlags): AcceptanceFlags {
  return {
    ...(acceptSigner === undefined ? {} : { acceptSigner }),
    ...(acceptUnsigned === undefined ? {} : { acceptUnsigned }),
  };
}
