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
    const [first = '', ...more] = wrapped(names);
    lines.push(`${String(storey).padStart(2)} │ ${first}`, ...more.map((line) => `   │ ${line}`));
  }
  return `\`\`\`\n${lines.join('\n')}\n   └${'─'.repeat(60)}\n\`\`\`\n`;
}

/** Names side by side, in as many lines as they take. */
function wrapped(names: readonly string[]): string[] {
  const lines: string[] = [];
  for (const name of names) {
    const last = lines.pop();
    if (last === undefined) lines.push(name);
    else if (last.length + name.length + 8 <= widthOfLine) lines.push(`${last}   ${name}`);
    else lines.push(last, name);
  }
  return lines;
}
