/**
 * Traffic to a host that echoes: pieces of a known pattern, one after another. Invariant: an echo that does not come in
 * time, or is not what was sent, is reported.
 */
import type { Duplex } from 'node:stream';
import type { SeededRandom } from './seeded-random.ts';

interface EchoTrafficOptions {
  readonly random: SeededRandom;
  /** Time between two pieces of traffic. */
  readonly periodMs: number;
  /** For an echo to come. */
  readonly timeoutMs: number;
  broken(reason: string): void;
}

interface EchoTraffic {
  begin(stream: Duplex): void;
  end(): void;
  counts(): { readonly sentBytes: number; readonly receivedBytes: number };
}

const pieceBytes = 1024;

export function createEchoTraffic(options: EchoTrafficOptions): EchoTraffic {
  const { random, periodMs, timeoutMs, broken } = options;
  const pattern = random.bytes(4096);
  let sentBytes = 0;
  let receivedBytes = 0;
  let beat: NodeJS.Timeout | undefined;

  const sendPiece = (stream: Duplex): void => {
    stream.write(patternAt(pattern, sentBytes, pieceBytes));
    sentBytes += pieceBytes;
    beat = setTimeout(() => broken('no echo in time'), timeoutMs);
  };
  const receive = (stream: Duplex, chunk: Buffer): void => {
    if (!chunk.equals(patternAt(pattern, receivedBytes, chunk.length))) {
      broken('the echo was not what was sent');
      return;
    }
    receivedBytes += chunk.length;
    if (receivedBytes < sentBytes) return;
    clearTimeout(beat);
    beat = setTimeout(() => sendPiece(stream), random.around(periodMs, 0.3));
  };

  return {
    begin(stream) {
      stream.on('data', (chunk: Buffer) => receive(stream, chunk));
      stream.on('close', () => broken('the stream ended'));
      sendPiece(stream);
    },
    end: () => clearTimeout(beat),
    counts: () => ({ sentBytes, receivedBytes }),
  };
}

/** `size` bytes of the endless repetition of the pattern, from `position` on. */
function patternAt(pattern: Buffer, position: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) bytes[at] = pattern[(position + at) % pattern.length] ?? 0;
  return bytes;
}
