/**
 * The connection to one server of the database, in TLS where the address asks for it. The driver's own TLS knows neither
 * a file of authorities nor `verify-ca`, and goes on in clear-text words with a server that refuses TLS.
 *
 * Invariant: where TLS is asked for, nothing is sent but the request for it until the server has proved what the address
 * wants proved; and nothing that came before TLS is believed.
 *
 * @see https://www.postgresql.org/docs/18/protocol-flow.html §54.2.10
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import tls from 'node:tls';
import type { DatabaseHost, DatabaseTls } from '../base/database-address.ts';
import { BrambleError, messageOf } from '../base/errors.ts';

/** Length and code of the message SSLRequest. */
const requestForTls = Buffer.from('0000000804d2162f', 'hex');
const accepted = 'S'.charCodeAt(0);
const declined = 'N'.charCodeAt(0);

/** Not yet connected. A name that begins with a slash is the folder of a Unix socket. */
export function connectSocket({ name, port }: DatabaseHost): net.Socket {
  return name.startsWith('/') ? net.connect(`${name}/.s.PGSQL.${port}`) : net.connect(port, name);
}

/**
 * TLS over a socket that is connecting; the socket itself where the server has none and need not.
 * @throws BrambleError ERR_DATABASE_TLS when the server does not prove what it should, and errors of the connection
 */
export async function secureSocket(socket: net.Socket, host: DatabaseHost, wanted: DatabaseTls): Promise<net.Socket> {
  await once(socket, 'connect');
  const authorities = await authoritiesOf(wanted);
  socket.write(requestForTls);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  if (answer.length === 1 && answer[0] === declined) {
    if (wanted.use === 'optional') return socket;
    throw untrusted(host, 'has no TLS. Switch it on there (ssl = on), or ask for none in the address (sslmode)');
  }
  if (answer.length !== 1 || answer[0] !== accepted) throw untrusted(host, 'does not answer the request for TLS');
  const secured = tls.connect({
    socket,
    ...(net.isIP(host.name) === 0 && !host.name.startsWith('/') ? { servername: host.name } : {}),
    ...(authorities === undefined ? {} : { ca: authorities }),
    rejectUnauthorized: wanted.verify !== 'nothing',
    checkServerIdentity: (_, certificate) =>
      wanted.verify === 'name' ? tls.checkServerIdentity(host.name, certificate) : undefined,
  });
  try {
    await once(secured, 'secureConnect');
  } catch (cause) {
    throw refusalOf(host, wanted, cause);
  }
  return secured;
}

/**
 * Whether a server says anything to a newcomer within the time. It needs neither a role nor a free session for that, and says
 * it even to one whom it will refuse.
 */
export async function isAnswering(host: DatabaseHost, withinMs: number): Promise<boolean> {
  const socket = connectSocket(host).on('error', () => {});
  let hasSpoken = false;
  const closed = new Promise<void>((resolve) => void socket.once('close', resolve));
  socket.once('data', () => {
    hasSpoken = true;
  });
  const late = setTimeout(() => socket.destroy(new Error('no answer in time')), withinMs);
  // In good order to the end of the handshake: the server would write a broken one into its log.
  secureSocket(socket, host, { use: 'optional', verify: 'nothing', authorityFile: undefined }).then(
    (secured) =>
      secured
        .on('error', () => {})
        .resume()
        .end(),
    () => socket.destroy(),
  );
  await closed;
  clearTimeout(late);
  return hasSpoken;
}

async function authoritiesOf({ authorityFile }: DatabaseTls): Promise<string | undefined> {
  if (authorityFile === undefined) return undefined;
  try {
    return await readFile(authorityFile, 'utf8');
  } catch (cause) {
    throw new BrambleError(
      'ERR_DATABASE_TLS',
      `The authorities of the database, ${authorityFile}, cannot be read (${messageOf(cause)}). The address names the ` +
        'file as sslrootcert: every host needs it, readable for the user of Bramble.',
      { cause },
    );
  }
}

function refusalOf(host: DatabaseHost, { authorityFile }: DatabaseTls, cause: unknown): unknown {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code.endsWith('CERT_ALTNAME_INVALID')) {
    return untrusted(
      host,
      `has a certificate for another name (${messageOf(cause)}). Use a name of the certificate in the address, or give ` +
        'the server one for this name',
      cause,
    );
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return untrusted(host, `has a certificate that is not valid now (${messageOf(cause)}). Renew it there`, cause);
  }
  if (/CERT|SIGNED|ISSUER|VERIFY|_CA\b/.test(code) && !code.startsWith('ERR_SSL_')) {
    return untrusted(
      host,
      `has a certificate of an authority that is not trusted (${messageOf(cause)}). The address names the file of ` +
        `authorities as sslrootcert: ${authorityFile ?? 'it names none, so those of the system are trusted'}`,
      cause,
    );
  }
  return cause;
}

function untrusted({ name, port }: DatabaseHost, why: string, cause?: unknown): BrambleError {
  return new BrambleError('ERR_DATABASE_TLS', `The database server ${name}:${port} ${why}.`, { cause });
}
