/**
 * For tests only: an instance as a process of its own. A request with the body `hold` blocks its event loop until
 * something is written to its standard input; any other is answered at once.
 */
import { readSync } from 'node:fs';
import type { SrpCredential } from '../../link/credential.ts';
import { connectLink, type LinkOptions } from '../../link/dialler.ts';

const given = JSON.parse(process.argv[2] ?? '{}') as Pick<LinkOptions, 'router' | 'component'> & {
  credential: SrpCredential;
};

connectLink({
  ...given,
  credential: () => given.credential,
  handlers: {
    request: (request, response) => {
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        if (body === 'hold') readSync(0, Buffer.alloc(1));
        response.end('served');
      });
    },
  },
});
process.once('disconnect', () => process.exit(0));
