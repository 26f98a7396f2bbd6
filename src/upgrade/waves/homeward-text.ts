/** How one account goes back to an instance of the old release while an upgrade goes on: for whoever asks for that. Pure. */

export interface Homeward {
  account: string;
  /** The new instance that it is assigned to, or would be. */
  goal: string;
  /** The old one. */
  home: string;
  /** A wave that has not begun: until then an account of it stays at home. */
  laterWave: number | undefined;
}

export function homewardText({ account, goal, home, laterWave }: Homeward): string {
  const everybody = '`bramble upgrade reverse` brings everybody home';
  if (laterWave === undefined) return `no wave is left in which it could follow later; ${everybody}`;
  return (
    `\`bramble account assign ${account} ${goal} --wave ${laterWave}\`, then \`bramble move start --account ${account} ` +
    `--to ${home}\`, brings it home until wave ${laterWave} begins; ${everybody}`
  );
}
