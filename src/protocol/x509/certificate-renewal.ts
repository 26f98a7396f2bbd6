/** When an automatically renewed certificate is due: one rule for routers, links and the profile signer. */

/**
 * Whether at most a third of its validity is left, or it is not valid yet. The latter was made by a clock that was
 * ahead: it is not accepted anywhere, and judged by its end alone it would not be renewed for a long time.
 */
export function isCertificateDue(
  { notBefore, notAfter }: { readonly notBefore: Date; readonly notAfter: Date },
  now: Date,
): boolean {
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  return now < notBefore || notAfter.getTime() - now.getTime() <= lifetimeMs / 3;
}
