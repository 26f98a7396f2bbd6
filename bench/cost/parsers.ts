/**
 * Every parser of bytes from outside, with whose bytes reach it and the limit that they are under. The parsers are those of the fuzzer,
 * whose generator of large damaged inputs is searched too.
 */
import type { KeyObject } from 'node:crypto';
import { generateAuthorities } from '../../src/domain/authority-creation.ts';
import {
  envelopeShape,
  helloShape,
  maxBodyBytes,
  revocationListShape,
  routeAnswersShape,
  routeQuestionShape,
} from '../../src/link/messages.ts';
import { maxUrlBytes } from '../../src/link/request-size.ts';
import { parseJson, parseMessage } from '../../src/link/signed-envelope.ts';
import { appleBodyBytes } from '../../src/platforms/apple/addresses.ts';
import { sealEnvelope } from '../../src/protocol/cms/enveloped-data.ts';
import { signAttached, signDetached } from '../../src/protocol/cms/signing.ts';
import { scepAttributesDer } from '../../src/protocol/scep/attributes.ts';
import { selfSignedCertificate } from '../../src/protocol/x509/certificate.ts';
import { createEcKeyPair } from '../../src/protocol/x509/key-pair.ts';
import { parserTargets } from '../../test/fuzz/parser-targets.ts';
import { binaryKitchen } from './binary-plists.ts';
import { base64, der, form, json, xml } from './ingredients.ts';
import { type Around, type Ingredients, kitchenOf } from './recipes.ts';
import type { Kitchen, Origin } from './search.ts';

/** A stranger's own key and certificate: whoever signs gets further. */
export interface Stranger {
  key: KeyObject;
  certificateDer: Buffer;
}

export async function makeStranger(): Promise<Stranger> {
  const { privateKey } = await createEcKeyPair();
  return {
    key: privateKey,
    certificateDer: selfSignedCertificate({ key: privateKey, subject: { commonName: 's' }, days: 1 }),
  };
}

/** What the inputs of each are made of, and how large they may be; the parsers themselves are those that are fuzzed. */
function larders(scep: Ingredients, signature: Ingredients): Record<string, Larder> {
  const [plists, cms, head] = [appleBodyBytes.connect, appleBodyBytes.scep, maxUrlBytes];
  return {
    'property list, XML': { from: 'device', ingredients: xml, limitBytes: plists },
    'property list, binary': { from: 'device', ingredients: 'binary plists', limitBytes: plists },
    'check-in': { from: 'device', ingredients: xml, limitBytes: plists },
    connect: { from: 'device', ingredients: xml, limitBytes: plists },
    DER: { ingredients: der, limitBytes: cms },
    BER: { ingredients: der, limitBytes: cms },
    certificate: { ingredients: der, limitBytes: cms },
    'certificate request': { ingredients: der, limitBytes: cms },
    'CMS signed': { ingredients: signature, limitBytes: cms },
    'CMS enveloped': { ingredients: der, limitBytes: cms },
    'SCEP message': { ingredients: scep, limitBytes: cms },
    // Headers are in base64.
    'Mdm-Signature': { ingredients: signature, limitBytes: Math.floor((maxHeaderBytes * 3) / 4) },
    'Client-Cert header': { ingredients: base64, limitBytes: maxHeaderBytes },
    'activation form': { ingredients: form, limitBytes: appleBodyBytes.activate },
    'query of an address': { ingredients: form, limitBytes: head },
    'request head and Host': { ingredients: form, limitBytes: head },
    'import of accounts': { from: 'administrator', ingredients: json, limitBytes: 64 * 1024 },
  };
}

interface Larder {
  /** Default: a stranger. */
  from?: Origin;
  ingredients: Ingredients | 'binary plists';
  limitBytes: number;
}

/** What node:http takes of a request's head. */
const maxHeaderBytes = 16 * 1024;
const maxLevels = 3000;

const linkMessages = {
  'SRP hello': helloShape,
  'route question': routeQuestionShape,
  'route answers': routeAnswersShape,
  'revocation list': revocationListShape,
  'signed envelope': envelopeShape,
};

export async function parserKitchens(): Promise<Kitchen[]> {
  const stranger = await makeStranger();
  const authorities = await generateAuthorities({ name: 'bench' });
  const known = larders(
    scepIngredients(stranger, authorities.registration.certificateDer),
    signatureIngredients(stranger),
  );
  const parsers = (await parserTargets()).flatMap(({ name, parse, generate }): Kitchen[] => {
    const larder = known[name];
    if (larder === undefined) return [];
    const { ingredients, limitBytes, from = 'stranger' } = larder;
    const eating = { name, from, limitBytes, maxLevels, eat: parse };
    const kitchen = ingredients === 'binary plists' ? binaryKitchen(eating) : kitchenOf(ingredients, eating);
    return [{ ...kitchen, generate: (random) => generate(random, true).subarray(0, limitBytes) }];
  });
  const messages = Object.entries(linkMessages).map(([name, shape]) =>
    kitchenOf(json, {
      ...{ name: `link: ${name}`, from: 'component', limitBytes: maxBodyBytes, maxLevels },
      eat: (input) => parseMessage(shape, parseJson(input.toString())),
    }),
  );
  return [...parsers, ...messages];
}

/** Anything, and anything inside of what a stranger's key has signed, or the registration authority can open. */
export function scepIngredients(stranger: Stranger, raCertificateDer: Uint8Array): Ingredients {
  const attributes = scepAttributesDer({ messageType: 'PKCSReq', transactionId: 't', senderNonce: Buffer.alloc(16) });
  const sign = (body: Buffer) => signAttached({ ...stranger, body, attributes });
  const signed: Around = (inside) => sign(inside);
  const sealed: Around = (inside) => sign(sealEnvelope(inside, raCertificateDer, 'aes-128-cbc'));
  return {
    ...der,
    frames: [
      ...der.frames,
      ...der.frames.map(
        (frame): Around =>
          (inside) =>
            signed(frame(inside)),
      ),
      ...der.frames.map(
        (frame): Around =>
          (inside) =>
            sealed(frame(inside)),
      ),
    ],
  };
}

/** Signed by a stranger's key, with what is read behind a signature that holds. */
function signatureIngredients(stranger: Stranger): Ingredients {
  const body = Buffer.from('<plist><dict/></plist>');
  const sign = (more: Partial<Parameters<typeof signDetached>[0]>) =>
    Buffer.from(signDetached({ ...stranger, body, ...more }), 'base64');
  return {
    ...der,
    frames: [
      ...der.frames,
      (inside) => sign({ attributes: [['1.2.3', inside.length === 0 ? Buffer.from([5, 0]) : inside]] }),
      (inside) => sign({ chainDer: [inside] }),
      (inside) => signAttached({ ...stranger, body: inside }),
    ],
  };
}
