/**
 * The wait, after a restart, for those that were linked before it.
 *
 * Invariant: each is awaited once. One that drops off again is not awaited anew, and one that was not linked before
 * changes nothing. The wait never fails and has no limit of its own: who waits sets it.
 */

interface FormerLinks {
  /** Resolves when all are linked again; at once if there were none. */
  readonly allBack: Promise<void>;
  back(identifier: string): void;
}

export function awaitFormerLinks(identifiers: readonly string[]): FormerLinks {
  const missing = new Set(identifiers);
  const { promise, resolve } = Promise.withResolvers<void>();
  if (missing.size === 0) resolve();
  return {
    allBack: promise,
    back: (identifier) => {
      missing.delete(identifier);
      if (missing.size === 0) resolve();
    },
  };
}
