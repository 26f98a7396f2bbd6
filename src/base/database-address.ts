/**
 * The address of the configuration database, as PostgreSQL's own programs take it: one or several hosts, which of them
 * counts, and how TLS proves the server.
 *
 *   postgres://user:password@db1.example.org,db2.example.org:5433/bramble?target_session_attrs=read-write
 *     &sslmode=verify-full&sslrootcert=/etc/bramble/database-ca.pem
 *
 * Invariant: what is asked for and not supported is refused here, never ignored: an address that asks for a verified
 * server is not used without.
 *
 * @see https://www.postgresql.org/docs/18/libpq-connect.html §32.1.1.3, §32.1.2
 */
import { isAbsolute } from 'node:path';
import { BrambleError } from './errors.ts';

export interface DatabaseHost {
  /** A name, an address, or the folder of a Unix socket. */
  readonly name: string;
  readonly port: number;
}

export interface DatabaseTls {
  /** `optional`: without TLS where the server has none. */
  readonly use: 'never' | 'optional' | 'always';
  /** What the server's certificate must prove. `name` includes its authority. */
  readonly verify: 'nothing' | 'authority' | 'name';
  /** PEM file of the authorities; undefined: those that the system trusts. */
  readonly authorityFile: string | undefined;
}

export interface DatabaseAddress {
  /** Empty where the address names none: the environment does then. */
  readonly hosts: readonly DatabaseHost[];
  readonly tls: DatabaseTls;
  /** Which servers count. */
  readonly target: 'any' | 'read-write' | 'primary';
  /** The same with one host at most, and without what is in the fields above. */
  readonly plainUrl: string;
}

interface Parts {
  readonly scheme: string;
  /** As written, with its `@`; empty if there is none. */
  readonly credential: string;
  readonly hosts: string;
  /** With its slash. */
  readonly path: string;
  readonly query: string;
}

const defaultPort = 5432;
const sslModes: Readonly<Record<string, Pick<DatabaseTls, 'use' | 'verify'>>> = {
  disable: { use: 'never', verify: 'nothing' },
  allow: { use: 'optional', verify: 'nothing' },
  prefer: { use: 'optional', verify: 'nothing' },
  require: { use: 'always', verify: 'nothing' },
  'verify-ca': { use: 'always', verify: 'authority' },
  'verify-full': { use: 'always', verify: 'name' },
};
/** Parameters of TLS that PostgreSQL's programs know and this one does not. */
const unsupported = ['sslcert', 'sslkey', 'sslpassword', 'sslcrl', 'sslcrldir', 'requiressl', 'hostaddr'];
const understood = ['sslmode', 'ssl', 'sslrootcert', 'sslnegotiation', 'target_session_attrs'];

/** @throws BrambleError ERR_DATABASE_ADDRESS, without the password */
export function readDatabaseAddress(url: string): DatabaseAddress {
  const parts = partsOf(url);
  const query = new URLSearchParams(parts.query);
  for (const name of unsupported) {
    if (query.has(name)) throw invalid(`it has ${name}, which is not supported. Remove it`);
  }
  const hosts = parts.hosts === '' ? [] : parts.hosts.split(',').map(hostOf);
  const tls = tlsOf(query);
  const target = targetOf(query.get('target_session_attrs'), hosts.length);
  for (const name of understood) query.delete(name);
  const [first] = hosts;
  const rest = query.size === 0 ? '' : `?${query}`;
  // The host is where this program connects; the driver only wants one that it can read.
  const host = first === undefined ? '' : `localhost:${first.port}`;
  return { hosts, tls, target, plainUrl: `${parts.scheme}${parts.credential}${host}${parts.path}${rest}` };
}

/** The same database, entered as this user. */
export function addressAs(url: string, user: string, password: string): string {
  const { scheme, hosts, path, query } = partsOf(url);
  return `${scheme}${encodeURIComponent(user)}:${encodeURIComponent(password)}@${hosts}${path}${query}`;
}

/** Another database of the same servers. */
export function addressOfDatabase(url: string, name: string): string {
  const { scheme, credential, hosts, query } = partsOf(url);
  return `${scheme}${credential}${hosts}/${encodeURIComponent(name)}${query}`;
}

/** Servers and database, without user and password, and without parameters. */
export function addressWithoutCredential(url: string): string {
  const { hosts, path } = partsOf(url);
  return `${hosts}${path}`;
}

/** The same without user and password; null if it has none. */
export function withoutCredential(url: string): string | null {
  const { scheme, credential, hosts, path, query } = partsOf(url);
  return credential === '' ? null : `${scheme}${hosts}${path}${query}`;
}

/** Empty if there is none. */
export function passwordIn(url: string): string {
  const { credential } = partsOf(url);
  const colon = credential.indexOf(':');
  return colon === -1 ? '' : decodeURIComponent(credential.slice(colon + 1, -1));
}

function partsOf(url: string): Parts {
  const match = /^(postgres(?:ql)?:\/\/)([^/?#]*)(\/[^?#]*)?(\?[^#]*)?$/.exec(url);
  if (!match) throw invalid('it does not have the form postgres://user:password@host:port/database');
  const [, scheme = '', authority = '', path = '', query = ''] = match;
  const at = authority.lastIndexOf('@') + 1;
  return { scheme, credential: authority.slice(0, at), hosts: authority.slice(at), path, query };
}

function hostOf(text: string): DatabaseHost {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|((?:[^\][:%]|%[0-9a-fA-F]{2})+))(?::(\d{1,5}))?$/.exec(text);
  const name = match?.[1] ?? decodeURIComponent(match?.[2] ?? '');
  const port = Number(match?.[3] ?? defaultPort);
  if (name === '' || port < 1 || port > 65_535) {
    // Not shown: of an address in which a slash of the password is not encoded it is the password.
    throw invalid(
      'its host is not valid. Several hosts are separated by commas, as in db1:5432,db2:5432, and characters of a password such as / and ? are written in percent-encoding',
    );
  }
  return { name, port };
}

function tlsOf(query: URLSearchParams): DatabaseTls {
  const rootCertificate = query.get('sslrootcert');
  const isSystem = rootCertificate === 'system';
  // `ssl` is the driver's own word for it, and `true` was to verify.
  const wanted = query.get('sslmode') ?? query.get('ssl') ?? (isSystem ? 'verify-full' : 'disable');
  const name = { true: 'verify-full', false: 'disable' }[wanted] ?? wanted;
  const mode = sslModes[name];
  if (!mode) throw invalid(`sslmode is "${name}". It can be ${Object.keys(sslModes).join(', ')}`);
  if (rootCertificate === null || isSystem) {
    if (isSystem && mode.verify !== 'name') throw invalid('sslrootcert=system takes sslmode=verify-full');
    // Anybody can have a certificate of an authority that the system trusts: only the name says whose it is.
    return { use: mode.use, verify: mode.verify === 'authority' ? 'name' : mode.verify, authorityFile: undefined };
  }
  if (!isAbsolute(rootCertificate)) {
    throw invalid(`sslrootcert is "${rootCertificate}". Give the whole path: every process of the host reads the file`);
  }
  // As in PostgreSQL's programs, an authority that was named is asked for.
  const verify = name === 'require' ? 'authority' : mode.verify;
  if (verify === 'nothing') throw invalid(`sslrootcert is not looked at with sslmode=${name}. Use verify-full`);
  return { use: mode.use, verify, authorityFile: rootCertificate };
}

/** Every process writes, so of several hosts the one that takes writes is meant. */
function targetOf(text: string | null, hosts: number): DatabaseAddress['target'] {
  if (text === null) return hosts > 1 ? 'read-write' : 'any';
  if (text === 'any' || text === 'read-write' || text === 'primary') return text;
  throw invalid(`target_session_attrs is "${text}". It can be read-write, primary or any: every process writes`);
}

function invalid(why: string): BrambleError {
  return new BrambleError('ERR_DATABASE_ADDRESS', `The address of the database cannot be used: ${why}.`);
}
