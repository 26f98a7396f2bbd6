/** Known bugs of routers on further hosts, and of links to routers. */
import type { KnownBug } from './known-bug.ts';

const placement = 'src/processes/administration/router-placement.test.ts';

export const routerBugs: readonly KnownBug[] = [
  {
    name: 'a-removed-router-comes-back',
    file: 'src/registry/components.ts',
    find: 'if (await isFormer(tx, router)) return;',
    replace: '',
    seenBy: [
      {
        file: placement,
        title: 'what a removed router still reports makes no component of it, until it is added again',
      },
    ],
  },
  {
    name: 'the-last-router-goes',
    file: 'src/processes/administration/router-placement.ts',
    find: 'if (!others.some((other) => atWork.has(other))) {',
    replace: 'if (others.length === 0) {',
    seenBy: [{ file: placement, title: 'a domain keeps a router that is at work' }],
  },
  {
    name: 'any-host-speaks-for-a-router',
    file: 'src/routers/router-answers.ts',
    find: 'if (proven.router !== name || proven.host !== host)',
    replace: 'if (proven.router !== name)',
    seenBy: [
      {
        file: placement,
        title: 'a certificate goes only to the host on which the domain wants the router, and then it is dialled',
      },
    ],
  },
  {
    name: 'a-removed-router-is-left-at-once',
    file: 'src/component/srp-links.ts',
    find: 'void link.leave(leaveWithinMs)',
    replace: 'void link.close()',
    seenBy: [
      {
        file: 'src/component/followed-routers.test.ts',
        title: 'a removed router keeps its link until it has drained, and is not dialled again',
      },
    ],
  },
  {
    name: 'a-copy-dials-the-domain',
    file: 'src/backup/isolated-copy.ts',
    find: 'await forgetRouters(db, nobody);',
    replace: '',
    seenBy: [
      {
        file: 'src/backup/isolated-copy.test.ts',
        title: 'of a domain of this release, routers on every host are forgotten',
      },
    ],
  },
  {
    name: 'a-link-waits-for-its-pushed-lists',
    file: 'src/link/dialler.ts',
    find: "this.#ending.abort('closed');",
    replace: '',
    seenBy: [
      {
        file: 'src/processes/router/links.test.ts',
        title: 'a link that is closed does not wait for the stream on which lists are pushed',
      },
    ],
  },
];
