/**
 * The last events of the domain, in memory, for all streams of a process: a stream that goes on from a place is told from
 * here, so it asks the database nothing.
 *
 * Invariant: a place is taken only where nothing behind it is missing.
 */

/** As `domain/event-stream.ts` reads them. */
export interface StreamPlace {
  readonly transaction: bigint;
  readonly id: bigint;
}

export interface StreamedEvent extends StreamPlace {
  readonly at: Date;
  readonly kind: string;
  readonly subject: string | null;
  readonly message: string;
  /** For each account that it speaks of, the groups that this was in when it was read; none if it speaks of the domain. */
  readonly groups?: readonly (readonly string[])[];
}

export interface RecentEvents {
  /** All up to here were taken in. */
  readonly end: StreamPlace;
  take(event: StreamedEvent): void;
  /** Up to here there are no others. */
  reach(end: StreamPlace): void;
  /** Those after a place; undefined where some are not here any more, or the place is of another stream. */
  since(id: string): readonly StreamedEvent[] | undefined;
  /** Whether the place is of this stream, but further than it has come here. */
  isAhead(id: string): boolean;
  /** The place as a client is told it. */
  idOf(place: StreamPlace): string;
}

export function createRecentEvents(
  last: { readonly stream: string; readonly events: readonly StreamedEvent[]; readonly end: StreamPlace },
  capacity: number,
): RecentEvents {
  const prefix = last.stream.slice(0, 8);
  const events = [...last.events];
  let { end } = last;
  // Nothing behind it is missing.
  let [begin = end]: readonly StreamPlace[] = events;
  const placeOf = (id: string): StreamPlace | undefined => {
    const [, stream, transaction = '', number = ''] = /^([0-9a-f]{8})\.(\d{1,20})\.(\d{1,19})$/.exec(id) ?? [];
    return stream === prefix ? { transaction: BigInt(transaction), id: BigInt(number) } : undefined;
  };
  return {
    get end() {
      return end;
    },
    take: (event) => {
      events.push(event);
      if (events.length > capacity) begin = events.shift() ?? begin;
      end = event;
    },
    reach: (place) => {
      end = place;
    },
    since: (id) => {
      const place = placeOf(id);
      if (place === undefined || isAfter(place, end)) return undefined;
      return isAfter(begin, place) ? undefined : events.filter((event) => isAfter(event, place));
    },
    isAhead: (id) => {
      const place = placeOf(id);
      return place !== undefined && isAfter(place, end);
    },
    idOf: ({ transaction, id }) => `${prefix}.${transaction}.${id}`,
  };
}

function isAfter(one: StreamPlace, other: StreamPlace): boolean {
  return one.transaction === other.transaction ? one.id > other.id : one.transaction > other.transaction;
}
