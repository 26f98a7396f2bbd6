/**
 * Which instance a new account goes to, as a pure rule: the named one, otherwise the one with the fewest accounts, counting
 * those that the same import placed before. Ties go to the earlier name, so that the same import is placed the same way.
 * An instance on trial, which an upgrade under way has added, takes only accounts that name it: others join a wave.
 */

/** An instance that takes new accounts. */
export interface PlacementTarget {
  readonly id: string;
  readonly name: string;
  readonly accountCount: number;
  readonly onTrial: boolean;
}

/**
 * Places accounts one after the other; answers undefined for a name that no target has, or when there is no target.
 */
export function accountPlacement(targets: readonly PlacementTarget[]): (named?: string) => string | undefined {
  const counts = targets
    .map(({ id, name, accountCount, onTrial }) => ({ id, name, count: accountCount, onTrial }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return (named) => {
    let chosen: (typeof counts)[number] | undefined;
    for (const target of counts) {
      const fits =
        named === undefined
          ? !target.onTrial && (chosen === undefined || target.count < chosen.count)
          : target.name === named;
      if (fits) chosen = target;
    }
    if (chosen !== undefined) chosen.count += 1;
    return chosen?.id;
  };
}
