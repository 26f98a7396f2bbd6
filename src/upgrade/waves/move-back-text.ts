/**
 * How to move one account back to an instance of the old release during an upgrade, as a text for the requester. Pure.
 */

export interface MoveBack {
  account: string;
  /** The new instance that it is assigned to, or would be. */
  goal: string;
  /** The old one. */
  home: string;
  /** A wave that has not begun: until then an account of it stays at home. */
  laterWave: number | undefined;
}

export function moveBackText({ account, goal, home, laterWave }: MoveBack): string {
  const everybody = '`bramble upgrade reverse` moves all accounts back';
  if (laterWave === undefined) return `there is no later wave in which it could follow; ${everybody}`;
  return (
    `\`bramble account assign ${account} ${goal} --wave ${laterWave}\`, then \`bramble move start --account ` +
    `${account} --to ${home}\`, moves it back until wave ${laterWave} begins; ${everybody}`
  );
}
