/** A small file system that a test can fill, and then make larger. It takes root on Linux. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { after } from 'node:test';

const isRoot = process.getuid?.() === 0 && process.platform === 'linux';
/** Of tests that need one: why they are left out, if they are. */
export const skipWithoutDisk = isRoot ? false : 'a small file system takes root on Linux';

/** Mounted in this folder, which is made, until the test or its file is over. */
export function smallDisk(folder: string, mebibytes: number): { folder: string; grow: (to: number) => void } {
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0711`, 'none', folder], { timeout: 10_000 });
  after(() => execFileSync('umount', ['--lazy', folder], { timeout: 10_000 }));
  return {
    folder,
    grow: (to) => execFileSync('mount', ['-o', `remount,size=${to}m`, folder], { timeout: 10_000 }),
  };
}
