/**
 * Evenly spread rates: a bucket that fills continuously and holds little. Pure. Invariant: within any span of t seconds
 * no more than rate × t + burst tokens are taken.
 */

export interface Bucket {
  readonly perMinute: number;
  readonly tokens: number;
  /** When `tokens` was true, in seconds by the database's clock. */
  readonly refilledAtSeconds: number;
}

/**
 * A bucket's capacity: one second's worth, so that a pause is not followed by a burst, plus one token, so that a caller
 * that checks at least once a second loses nothing to rounding.
 */
export function burstOf(perMinute: number): number {
  return 1 + perMinute / 60;
}

/** Further ahead than this, the bucket was filled by a wrong clock and is refilled from now on. */
const maxAheadSeconds = 60;

/**
 * The bucket at a later time. A clock that went back adds nothing and never moves `refilledAtSeconds` back, unless it
 * was corrected: otherwise nothing would be added until the wrong date had come.
 */
export function refill(bucket: Bucket, nowSeconds: number): Bucket {
  if (bucket.refilledAtSeconds - nowSeconds > maxAheadSeconds) return { ...bucket, refilledAtSeconds: nowSeconds };
  const elapsedSeconds = Math.max(0, nowSeconds - bucket.refilledAtSeconds);
  return {
    perMinute: bucket.perMinute,
    tokens: Math.min(burstOf(bucket.perMinute), bucket.tokens + (elapsedSeconds * bucket.perMinute) / 60),
    refilledAtSeconds: Math.max(bucket.refilledAtSeconds, nowSeconds),
  };
}

/** Whole tokens available now. A tiny rounding error does not cost a token. */
export function availableTokens(bucket: Bucket): number {
  return Math.max(0, Math.floor(bucket.tokens + 1e-9));
}

/** @throws RangeError when more is taken than available: call {@link availableTokens} first. */
export function takeTokens(bucket: Bucket, count: number): Bucket {
  if (count > availableTokens(bucket)) throw new RangeError(`${count} tokens taken of ${bucket.tokens}`);
  return { ...bucket, tokens: Math.max(0, bucket.tokens - count) };
}
