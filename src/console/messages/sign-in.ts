/** Texts of signing in and of the first set-up. */

export const signInWords = {
  signIn: 'Sign in',
  signingIn: 'Signing in …',
  again: 'Sign in again',
  sessionEnded: (name: string) => `Your session has ended. What you have typed is kept for ${name}.`,
  or: 'or',
  byPasskey: 'Sign in with a passkey',
  byProvider: (name: string) => `Sign in with ${name}`,
  notSignedIn: 'You were not signed in',
  oneMoreStep: 'One more step',
  enterCode: 'Enter the six digits that your authenticator shows now.',
  orRecoveryCode: 'If you have lost it, enter one of your recovery codes.',
  linkRefused: 'This link is no longer valid',
  linkRule: 'A link works once, and for a short time. Ask whoever gave it to you for another one.',
  anotherWay: 'Sign in another way',
  welcome: (name: string) => `Welcome, ${name}`,
  choosePassword: 'Choose the password with which you sign in from now on.',
  passkeyRefused: 'No passkey was used: it was cancelled, or this device has none for this address.',
} as const;

export const setUpWords = {
  setUp: 'Set up',
  continue: 'Continue',
  steps: ['Administrator', 'First account', 'Push certificate'],
  firstAdministrator: 'Create your administrator',
  firstAdministratorLead:
    'You become the first administrator of this domain, with all rights. You can add others later.',
  nameHint: 'You sign in with it.',
  fullNameHint: 'Optional; other administrators see it.',
  firstAccount: 'Add the first account',
  firstAccountLead: 'Every device belongs to an account. With the first one you can try how a device enrols.',
  accountName: 'Account name',
  accountNameHint: 'For example, the part of the mail address before the @.',
  createAccount: 'Create the account',
  enrol: 'Enrol a device',
  enrolLead: 'Open this address on the device, then enter the account name and the activation password.',
  address: 'Address',
  theAddress: 'the address',
  theAccountName: 'the account name',
  activationPassword: 'Activation password',
  theActivationPassword: 'the activation password',
  validUntil: 'Valid until',
  pushCertificate: 'Push certificate',
  pushLead:
    'Apple’s push service wakes devices with it. You get it from Apple, one for the whole domain, and renew it every year.',
  certificate: 'Certificate (PEM)',
  privateKey: 'Private key (PEM)',
  pemPlaceholder: '-----BEGIN …',
  aboutCertificate:
    'The topic of the certificate becomes the domain’s for good: devices keep the one that they enrolled with. Devices enrol ' +
    'without a certificate, too, but nothing wakes them. You can set it later: `bramble push --certificate FILE --key FILE`.',
  setCertificate: 'Set the certificate',
} as const;

/** What stands before the pages of who owes a second factor. */
export const factorWords = {
  title: 'Second factor',
  show: 'One more step',
  showLead: '**Show your second factor.** It is asked of you in this domain.',
  continue: 'Continue',
  setUp: 'Set up a second factor',
  setUpLead: 'It is asked of you in this domain, beside your password. One of these is enough.',
  authenticator: 'Authenticator',
  authenticatorHint: 'An app on your phone shows a code that is asked for after the password.',
  setUpAct: 'Set up',
  anAuthenticator: ' an authenticator',
  passkey: 'Passkey',
  passkeyHint: 'Your device lets you in by its screen lock or a security key, without password and code.',
  aPasskey: ' a passkey',
  signOut: 'Sign out',
} as const;
