/** The wait, after a restart, for those that were linked before it. */
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
