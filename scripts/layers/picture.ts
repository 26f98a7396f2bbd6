/** The house as a drawing: each room stands above everything that it imports. */
import type { Room } from './table.ts';

const widthOfLine = 116;

/** Storeys from the top down, as a block of text for ARCHITECTURE.md. A room stands one storey above the highest it imports. */
export function drawHouse(rooms: readonly Room[]): string {
  const storeyOf = new Map<string, number>();
  for (const { name, mayImport } of rooms) {
    storeyOf.set(name, 1 + Math.max(-1, ...mayImport.map((other) => storeyOf.get(other) ?? 0)));
  }
  const highest = Math.max(...storeyOf.values());
  const lines: string[] = [];
  for (let storey = highest; storey >= 0; storey--) {
    const names = rooms.filter(({ name }) => storeyOf.get(name) === storey).map(({ name }) => name);
    lines.push(`${String(storey).padStart(2)} │ ${names.join('   ')}`);
  }
  const tooLong = lines.find((line) => line.length > widthOfLine);
  if (tooLong !== undefined) throw new Error(`A storey does not fit on a line: ${tooLong}`);
  return `\`\`\`\n${lines.join('\n')}\n   └${'─'.repeat(60)}\n\`\`\`\n`;
}
