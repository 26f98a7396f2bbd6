/** Of commands that work on the home themselves: who gives them, and which program carries them out. */
import { userInfo } from 'node:os';
import { thisRelease } from '../release/this-release.ts';

export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.() ?? ''}`.trim();
  }
}

/** This program, with the folder of its migrations. */
export async function ownProgram(): Promise<{ release: string; migrations: string }> {
  const { migrationFolder } = await import('../release/program.ts');
  return { release: thisRelease.release, migrations: migrationFolder() };
}
