/** Known bugs of router, link and tunnels. */
import type { KnownBug } from './known-bug.ts';

const rules = 'src/processes/router/rules.test.ts';

export const edgeBugs: readonly KnownBug[] = [
  {
    name: 'anybody-speaks-for-others',
    file: 'src/processes/router/connection-watch.ts',
    find: 'if (balancers.include(balancer)) {',
    replace: "if (balancers.include(balancer) || balancer !== '') {",
    seenBy: [
      {
        file: 'src/processes/router/balancer-header.test.ts',
        title: 'others connect without a header, and none of theirs is believed',
      },
    ],
  },
  {
    name: 'all-devices-are-the-balancer',
    file: 'src/processes/router/connection-watch.ts',
    find: 'if (source !== null) entry.belongsTo(source);',
    replace: '',
    seenBy: [
      {
        file: 'src/processes/router/balancer-header.test.ts',
        title: 'the address that it tells is the device’s, whatever pieces the header comes in',
      },
    ],
  },
  {
    name: 'half-a-first-request-is-let-go',
    file: 'src/processes/router/watched-connection.ts',
    find: 'this.#bytesInTls() === this.#bytesWhenIdle)',
    replace: 'this.#bytesWhenIdle === 0 || this.#bytesInTls() === this.#bytesWhenIdle)',
    seenBy: [
      {
        file: 'src/processes/router/draining.test.ts',
        title: 'a first request that has begun to come in as its router lets idle devices go is answered',
      },
    ],
  },
  {
    name: 'activation-takes-a-mebibyte',
    file: 'src/platforms/apple/addresses.ts',
    find: 'activate: 4 * 1024,',
    replace: 'activate: 1024 * 1024,',
    seenBy: [
      {
        file: 'src/processes/router/edge.test.ts',
        title: 'brings no more of a body than its address takes, declared or not, and is refused before it is read',
      },
    ],
  },
  {
    name: 'undeclared-body-without-limit',
    file: 'src/processes/router/request-body.ts',
    find: `if (sizeBytes > maxBytes) settle({ kind: 'too-large' });
      else if`,
    replace: 'if',
    seenBy: [
      {
        file: 'src/processes/router/edge.test.ts',
        title: 'brings no more of a body than its address takes, declared or not, and is refused before it is read',
      },
    ],
  },
  {
    name: 'stalled-link-gets-requests',
    file: 'src/processes/router/link-registry.ts',
    find: 'return link?.stalled ? undefined : link;',
    replace: 'return link;',
    seenBy: [
      {
        file: 'src/processes/router/stalled-links.long.test.ts',
        title: 'an instance whose event loop is held keeps its link: 503 meanwhile, what is under way goes on',
      },
    ],
  },
  {
    name: 'lost-answer-is-asked-for-again',
    file: 'src/processes/router/forwarder.ts',
    find: "} else if (result.kind === 'not-sent' && (!sentAgain || (await hope(awaitedBy(target))))) {",
    replace: "} else if ((result.kind === 'not-sent' || result.kind === 'ambiguous') && !sentAgain) {",
    seenBy: [
      { file: 'src/processes/router/forwarding.test.ts', title: 'that broke after it was sent is never sent again' },
    ],
  },
  {
    name: 'owner-by-word-of-an-instance',
    file: 'src/link/signed-envelope.ts',
    find: "if (!listOf(authorityKeys).some((key) => verify('sha256', bytes, key, signed))) {",
    replace: "if (!listOf(authorityKeys).some((key) => verify('sha256', bytes, key, signed)) && bytes.length === 0) {",
    seenBy: [
      {
        file: 'src/link/signed-envelope.test.ts',
        title: 'changed bytes, another signer and another shape are not believed',
      },
      {
        file: 'src/processes/router/activation-routing.test.ts',
        title: 'never reaches who holds a credential without the signature of the domain, whatever it answers',
      },
    ],
  },
  {
    name: 'any-certificate-signs-routes',
    file: 'src/link/signed-envelope.ts',
    find: 'certificate.keyUsage[0] === routeSignerPurpose &&',
    replace: 'certificate.keyUsage[0] !== undefined &&',
    seenBy: [
      {
        file: 'src/link/signed-envelope.test.ts',
        title: 'an answer about routes may come from the route signer, and nothing else may',
      },
    ],
  },
  {
    name: 'answer-to-another-question',
    file: 'src/processes/router/route-directory.ts',
    find: "if (signed.nonce !== nonce) throw new Error('the answer is for another question');",
    replace: '',
    seenBy: [
      {
        file: 'src/processes/router/activation-routing.test.ts',
        title: 'never goes where an answer to an earlier question says',
      },
    ],
  },
  {
    name: 'older-revocation-list-in-force',
    file: 'src/processes/router/admission.ts',
    find: 'if (this.#list && list.number <= this.#list.number) return false;',
    replace: '',
    seenBy: [{ file: rules, title: 'a list of a lower or equal number never replaces one' }],
  },
  {
    name: 'revocations-gone-after-restart',
    file: 'src/processes/router/router-memory.ts',
    find: 'new Admission({ list: kept.list, suspended: kept.state.suspended })',
    replace: 'new Admission({ list: null, suspended: kept.state.suspended })',
    seenBy: [
      {
        file: 'src/processes/router/links.test.ts',
        title: 'a revocation closes the link, and is in force again after a restart, from disk',
      },
    ],
  },
  {
    name: 'suspension-keeps-the-holder-out',
    file: 'src/processes/router/admission.ts',
    find: 'return suspension !== undefined && !(suspension.holder && sameHolder(suspension.holder, asking));',
    replace: 'return suspension !== undefined;',
    seenBy: [{ file: rules, title: 'a suspension never keeps out the holder that was linked when it began' }],
  },
  {
    name: 'name-opens-reserved-address',
    file: 'src/processes/connection/tunnel-rule.ts',
    find: 'return reserved === null || rule.hosts.namesWithin(network, port, reserved.network) ? null : refuse(reserved.what);',
    replace: 'return null;',
    seenBy: [
      {
        file: 'src/processes/connection/tunnel-rule.test.ts',
        title: 'a listed name opens no reserved address, nor does a network that is not of that kind',
      },
    ],
  },
];
