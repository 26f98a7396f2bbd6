/**
 * Where a test run keeps its files. Its databases are made and deleted by the hundred, of a thousand small files each: where
 * memory is plentiful they lie there, and no disk is waited for.
 */
import { readFile, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';

const memoryFolder = '/dev/shm';
const leastRoomBytes = 6 * 2 ** 30;
/** What lies there takes memory from the tests themselves. */
const leastMemoryBytes = 10 * 2 ** 30;

/** The folder for temporary files, unless `TMPDIR` names one. */
export async function testFolder(): Promise<string> {
  const named = process.env['TMPDIR'];
  if (named !== undefined && named !== '') return named;
  return (await isRoomy()) ? memoryFolder : tmpdir();
}

async function isRoomy(): Promise<boolean> {
  try {
    const { bavail, bsize } = await statfs(memoryFolder);
    const mounts = await readFile('/proc/mounts', 'utf8');
    const options = mounts.split('\n').find((line) => line.split(' ')[1] === memoryFolder && line.includes(' tmpfs '));
    // PostgreSQL and releases are installed into it, and run from there.
    const runsPrograms = options !== undefined && !/\bnoexec\b/.test(options);
    return runsPrograms && bavail * bsize >= leastRoomBytes && process.availableMemory() >= leastMemoryBytes;
  } catch {
    return false;
  }
}
