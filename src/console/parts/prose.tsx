/** A message with marks in it: `**what weighs**`, and `` `what is typed` ``. */

export function Prose({ text }: { text: string }) {
  const pieces = text.split(/(\*\*[^*]+\*\*|`[^`]+`)/);
  return pieces.map((piece, index) => {
    // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of one message stay in their order
    if (piece.startsWith('**')) return <strong key={index}>{piece.slice(2, -2)}</strong>;
    // biome-ignore lint/suspicious/noArrayIndexKey: as above
    return piece.startsWith('`') ? <code key={index}>{piece.slice(1, -1)}</code> : piece;
  });
}
