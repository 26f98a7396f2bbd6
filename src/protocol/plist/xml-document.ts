/**
 * Reads any well-formed XML property list, with a conforming XML reader.
 * Invariant: a document type may only name a public or system identifier; nothing is ever declared, fetched or expanded.
 */
import { SaxesParser } from 'saxes';
import { BrambleError } from '../../base/errors.ts';
import { PlistTreeBuilder } from './tree-builder.ts';
import { type PlistLimits, type PlistValue, plistMalformed } from './value.ts';

/** The root must begin within this many characters: XML declaration and document type take some 200. */
const maxProlog = 4096;
/** In a whole document; property lists know one, the version. They are the slowest part for the reader. */
const maxAttributes = 16;

/** @throws BrambleError ERR_PLIST_MALFORMED, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE */
export function parseXmlDocument(source: string, limits: PlistLimits): PlistValue {
  // Line ends as XML 1.0 §2.11 has them: the reader would handle each one separately, at fifty times the cost.
  const text = source.includes('\r') ? source.replace(/\r\n?/g, '\n') : source;
  const builder = new PlistTreeBuilder(limits);
  const parser = new SaxesParser({ xmlns: false, position: false });
  let state = 'before' as 'before' | 'inside' | 'after';
  let leaf: string | undefined;
  let leafText = '';
  let attributes = 0;

  const onText = (piece: string): void => {
    if (leaf !== undefined) leafText += piece;
    else if (piece.trim() !== '') throw plistMalformed('there is text between elements');
  };
  parser.on('error', (error) => {
    throw plistMalformed('it is not well-formed XML', error);
  });
  parser.on('xmldecl', ({ encoding }) => {
    if (encoding !== undefined && !/^(utf-?8|us-ascii|ascii)$/i.test(encoding)) {
      throw plistMalformed('it is not encoded in UTF-8');
    }
  });
  parser.on('doctype', (doctype) => {
    if (doctype.includes('[')) throw plistMalformed('its document type has declarations');
  });
  parser.on('attribute', () => {
    if (++attributes > maxAttributes) throw plistMalformed('it has attributes, which property lists do not use');
  });
  parser.on('text', onText);
  parser.on('cdata', onText);
  parser.on('opentag', ({ name }) => {
    if (leaf !== undefined) throw plistMalformed(`<${leaf}> contains an element`);
    if (state === 'before') {
      if (name !== 'plist') throw plistMalformed('its root is not <plist>');
      state = 'inside';
    } else if (name === 'dict' || name === 'array') {
      builder.open(name);
    } else {
      leaf = name;
      leafText = '';
    }
  });
  parser.on('closetag', ({ name }) => {
    if (leaf !== undefined) {
      const finished = leaf;
      leaf = undefined;
      builder.leaf(finished, leafText);
    } else if (name === 'dict' || name === 'array') {
      builder.close(name);
    } else {
      state = 'after';
    }
  });
  try {
    parser.write(text.length > maxProlog ? text.slice(0, maxProlog) : text);
    if (state === 'before') throw plistMalformed('it does not begin with a property list');
    if (text.length > maxProlog) parser.write(text.slice(maxProlog));
    parser.close();
  } catch (error) {
    // The XML reader refuses some names and characters with errors of its own.
    throw error instanceof BrambleError ? error : plistMalformed('it is not well-formed XML', error);
  }
  if (state !== 'after') throw plistMalformed('it ends too early');
  return builder.finish();
}
