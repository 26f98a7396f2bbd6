/**
 * JSON from outside. Node.js 26.10 crashes (a segmentation fault, not an error) on some texts nested thousands deep,
 * such as `[1,` 7,000 times in 21 KB; legitimate input nests only a few levels.
 *
 * Invariant: `JSON.parse` never sees external text that nests deeper than {@link maxJsonDepth}.
 */
export const maxJsonDepth = 64;

/** @throws SyntaxError when it is not JSON, or nests too deeply */
export function parseShallowJson(text: string): unknown {
  if (isNestedTooDeeply(text)) throw new SyntaxError(`the JSON is nested deeper than ${maxJsonDepth} levels`);
  return JSON.parse(text);
}

/** Undefined for a text that is none. */
export function jsonOrUndefined(text: string): unknown {
  try {
    return parseShallowJson(text);
  } catch {
    return undefined;
  }
}

/** One pass over the characters; brackets inside strings do not count. */
export function isNestedTooDeeply(json: string): boolean {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < json.length; at++) {
    const character = json.charCodeAt(at);
    if (inText) {
      if (character === backslash) at += 1;
      else if (character === quote) inText = false;
    } else if (character === quote) inText = true;
    else if (character === openBracket || character === openBrace) {
      depth += 1;
      if (depth > maxJsonDepth) return true;
    } else if (character === closeBracket || character === closeBrace) depth -= 1;
  }
  return false;
}

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];
