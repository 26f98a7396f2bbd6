/**
 * What a document of `docs/` says to type and what one then sees. In its blocks of `console` a line that begins with `$ ` is typed,
 * and the lines below it are what is shown: `…` stands for anything in a line, lines may be left out between two that are
 * there, and blanks count as one. Beside `console` stands how a block is meant:
 *
 *     terminal   the command goes on in a terminal of its own
 *     again      the command is repeated until it shows this
 *     ctrl-c     the terminal in which this command goes on is ended so, and has shown this
 *     ends       the terminal in which this command goes on ends by itself, and has shown this
 */

export interface Typed {
  command: string;
  /** Lines that are shown, in this order. */
  shown: string[];
  /** Of the document, from 1. */
  line: number;
}

export interface Block {
  mode: 'once' | 'again' | 'terminal' | 'ctrl-c' | 'ends';
  typed: Typed[];
}

const modes: Readonly<Record<string, Block['mode']>> = {
  '': 'once',
  again: 'again',
  terminal: 'terminal',
  'ctrl-c': 'ctrl-c',
  ends: 'ends',
};

/** @throws Error that names the line, for a block that nobody could follow. */
export function parseDocument(text: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | undefined;
  for (const [index, content] of text.split('\n').entries()) {
    const line = index + 1;
    const fence = /^```(.*)$/.exec(content)?.[1]?.trim();
    if (open !== undefined && fence !== undefined) {
      if (open.typed.length === 0) throw new Error(`line ${line}: a block of console in which nothing is typed`);
      if (open.mode !== 'once' && open.typed.length > 1)
        throw new Error(`line ${line}: one command a block of this kind`);
      blocks.push(open);
      open = undefined;
    } else if (open !== undefined) {
      const command = /^\$ (.+)$/.exec(content)?.[1];
      const last = open.typed.at(-1);
      if (command !== undefined) open.typed.push({ command, shown: [], line });
      else if (last !== undefined) last.shown.push(content);
      else throw new Error(`line ${line}: something is shown before anything was typed`);
    } else if (fence?.split(/\s+/)[0] === 'console') {
      const mode = modes[fence.slice('console'.length).trim()];
      if (mode === undefined)
        throw new Error(`line ${line}: console is followed by one of ${Object.keys(modes).join(' ')}`);
      open = { mode, typed: [] };
    }
  }
  if (open !== undefined) throw new Error('the last block has no end');
  return blocks;
}

/** The first expected line that is not among those shown, in order; undefined when all are. */
export function missingLine(expected: readonly string[], output: string): string | undefined {
  const lines = output.split('\n').map(plain);
  let from = 0;
  for (const line of expected.map(plain).filter((text) => text !== '' && text !== '…')) {
    const pattern = new RegExp(`^${literal(line).replaceAll(' … ', ' (?:.* )?').replaceAll('…', '.*')}$`);
    const found = lines.findIndex((text, index) => index >= from && pattern.test(text));
    if (found < 0) return line;
    from = found + 1;
  }
  return undefined;
}

function plain(line: string): string {
  return line.trim().replace(/\s+/g, ' ');
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
