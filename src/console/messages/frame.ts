/** Texts around every page: navigation, banners, and what stands there when nothing else can. */

export const frameWords = {
  skip: 'Skip to the page',
  pages: 'Pages',
  overview: 'Overview',
  access: 'Access',
  audit: 'Audit',
  yourSignIn: 'Your sign-in',
  notFound: 'Not found',
  allRights: 'all rights',
  signOut: (name: string) => `Sign out ${name}`,
  connecting: 'Connecting …',
  noAnswer: 'No answer',
  noAnswerYet: 'No answer yet',
  askedAgain: 'The administration service is asked again every two seconds.',
  nothingHere: 'There is nothing here',
  noSuchPage: 'This address belongs to no page of the console.',
  toOverview: 'Go to the overview',
} as const;

export const bannerWords = {
  lost: (clock: string) =>
    `**The administration service does not answer.** What you see is from ${clock}. It is asked again every two seconds.`,
  behind: (clock: string) =>
    `**Events are late.** What happened after ${clock} is shown as soon as a long transaction in the database has ended.`,
  newRelease: (release: string) =>
    `**Release ${release} administers the domain now.** Its own page is loaded as soon as you have finished and closed what is open here.`,
  upgrade: (what: string, how: string | null, clock: string | null) =>
    `**${what}** ${how === null ? '' : `It is ${how}. `}Devices go on as before. ` +
    `${clock === null ? '' : `What you see is from ${clock}. `}This page goes on by itself.`,
  someUpgrade: 'The domain is being upgraded.',
  installing: (release: string, decision: string) => `Installing release ${release}${decision}.`,
  goingBack: (release: string, decision: string) => `Going back to release ${release}${decision}.`,
  position: (position: string, waitingFor: string | null) =>
    waitingFor === null ? position : `${position}: ${waitingFor}`,
} as const;
