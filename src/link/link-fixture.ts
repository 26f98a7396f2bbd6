/** For tests only: a domain authority, a device authority, and certificates of both, made afresh for each run. */
import 'reflect-metadata';
import { createPrivateKey, type KeyObject, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { SrpCredential } from './credential.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface TestIdentity {
  certificatePem: string;
  privateKeyPem: string;
  /** As Node prints it: upper-case hex. */
  serial: string;
}

export interface TestAuthority {
  certificatePem: string;
  key: KeyObject;
  /** A certificate with this common name; `hosts` are its DNS names. */
  issue(commonName: string, hosts?: readonly string[]): Promise<TestIdentity>;
}

export async function createTestAuthority(commonName: string): Promise<TestAuthority> {
  const keys = await newKeys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(),
    name: `CN=${commonName}`,
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  return {
    certificatePem: ca.toString('pem'),
    key: createPrivateKey(await privatePem(keys.privateKey)),
    issue: async (subject, hosts = []) => {
      const own = await newKeys();
      const certificate = await x509.X509CertificateGenerator.create({
        ...validity(),
        subject: `CN=${subject}`,
        issuer: ca.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [
          new x509.ExtendedKeyUsageExtension(
            [hosts.length > 0 ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth],
            false,
          ),
          ...(hosts.length > 0
            ? [new x509.SubjectAlternativeNameExtension(hosts.map((value) => ({ type: 'dns', value })))]
            : []),
        ],
      });
      const certificatePem = certificate.toString('pem');
      return {
        certificatePem,
        privateKeyPem: await privatePem(own.privateKey),
        serial: new X509Certificate(certificatePem).serialNumber,
      };
    },
  };
}

/** The SRP credential that a domain would issue for this identifier. */
export async function issueTestCredential(
  authority: TestAuthority,
  identifier: string,
  port: number,
): Promise<SrpCredential & { serial: string }> {
  return {
    ...(await authority.issue(identifier)),
    identifier,
    domainAuthorityPem: authority.certificatePem,
    routers: [{ host: '127.0.0.1', port, serverName: 'router.test' }],
  };
}

function newKeys(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<CryptoKeyPair>;
}

type CryptoKeyPair = webcrypto.CryptoKeyPair;

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return `-----BEGIN PRIVATE KEY-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
}

function validity() {
  return {
    serialNumber: `4${randomBytes(15).toString('hex')}`.slice(0, 31).padEnd(32, '0'),
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 24 * 3_600_000),
  };
}
