/** When a certificate that is renewed by itself is to be: one rule for routers, links and the profile signer. */

/**
 * Whether no more than a third of its time is left, or its time has not begun. That one was made by a clock that was ahead: nobody
 * accepts it, and by its end alone it would not be renewed before that far date has come.
 */
export function isCertificateDue(
  { notBefore, notAfter }: { readonly notBefore: Date; readonly notAfter: Date },
  now: Date,
): boolean {
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  return now < notBefore || notAfter.getTime() - now.getTime() <= lifetimeMs / 3;
}
