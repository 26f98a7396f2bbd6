/**
 * Which instance a new account goes to, as a pure rule: the named one, otherwise the one with the fewest accounts,
 * including those that the same import has already placed. Ties go to the earlier name, so that repeating an import
 * gives the same placement. An instance on trial, which an upgrade under way has added, takes only accounts that name
 * it; the others arrive in waves.
 */

/** An instance that takes new accounts. */
export interface PlacementTarget {
  readonly id: string;
  readonly name: string;
  readonly accountCount: number;
  readonly onTrial: boolean;
}

/** Places accounts one by one; returns undefined for a name that matches no target, or when there is no target. */
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
