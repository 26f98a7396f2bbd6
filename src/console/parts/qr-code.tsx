/** A text as a QR code: black on white in both themes, since cameras read it. */
import { encode } from 'uqr';

export function QrCode({ text, what }: { text: string; what: string }) {
  const { data, size } = encode(text, { border: 2 });
  const path = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  return (
    <svg
      className="code-square"
      role="img"
      aria-label={what}
      viewBox={`0 0 ${size} ${size}`}
      shapeRendering="crispEdges"
    >
      <path fill="#000" d={path} />
    </svg>
  );
}
