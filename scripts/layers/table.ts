/** The table of rooms in ARCHITECTURE.md, read. */

/** A room: a folder of `src/` whose files import only what its row allows. */
export interface Room {
  /** Its folder under `src/`, such as `upgrade/plan`. */
  readonly name: string;
  readonly mayImport: readonly string[];
  /** Whether its tests and fixtures are held to the row, too; those of other rooms may reach further. */
  readonly testsToo: boolean;
}

const row = /^\| `src\/([a-z/-]+)\/`( \(tests too\))? \| [^|]+ \| ([^|]+) \|$/gm;

/** @throws where a row names no rooms in a form that can be read. */
export function readRooms(document: string): Room[] {
  return [...document.matchAll(row)].map(([, name = '', testsToo, list = '']) => ({
    name,
    testsToo: testsToo !== undefined,
    mayImport: list === 'nothing' ? [] : list.split(', '),
  }));
}

/** What the table says twice, or in an order in which a circle could hide. */
export function wrongInTable(rooms: readonly Room[]): string[] {
  const wrong: string[] = [];
  const above = new Set<string>();
  for (const { name, mayImport } of rooms) {
    if (above.has(name)) wrong.push(`src/${name}/ has two rows in ARCHITECTURE.md.`);
    for (const other of mayImport) {
      if (!above.has(other))
        wrong.push(`src/${name}/ may import ${other}, which has no row above it in ARCHITECTURE.md.`);
    }
    above.add(name);
  }
  return wrong;
}

/** The room that a file under `src/` is in: the longest name that fits. */
export function roomOf(rooms: readonly Room[], file: string): Room | undefined {
  return rooms
    .filter(({ name }) => file.startsWith(`src/${name}/`))
    .reduce<Room | undefined>((best, room) => (best && best.name.length > room.name.length ? best : room), undefined);
}
