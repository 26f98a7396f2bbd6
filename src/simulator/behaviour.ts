/** How well-behaved a device is. All probabilities (0 to 1) are drawn from the device's own seeded stream. */
export interface Behaviour {
  /** A command that is not urgent is answered NotNow, and executed at a later contact. */
  readonly notNowProbability: number;
  /** A command that is not urgent fails with an Error. */
  readonly errorProbability: number;
  /** An answer holds something odd beside Status and CommandUUID. */
  readonly oddAnswerProbability: number;
  /** A reply is lost after the server has worked on the request, so that the device sends again. */
  readonly lostReplyProbability: number;
  /** After it renewed its identity the device sends Authenticate and TokenUpdate, as some do. */
  readonly authenticateProbability: number;
  /** Asked to renew, it answers Error without having tried. */
  readonly renewalErrorProbability: number;
  /** … it reports success but did nothing. */
  readonly renewalIgnoredProbability: number;
  /** … it dies when it has the certificate, and comes back without it and its key. */
  readonly renewalCrashProbability: number;
  /** The device falls silent when its contact ends, for around `vanishForMs`. */
  readonly vanishProbability: number;
  readonly vanishForMs: number;
  /** Mean time between contacts of the device's own accord. */
  readonly contactIntervalMs: number;
  /** The device connects within this time after it is woken. */
  readonly wakeJitterMs: number;
  /**
   * The device becomes free within about this time after NotNow, and connects by itself if that was its last answer.
   */
  readonly notNowForMs: number;
}

export const ordinaryBehaviour: Behaviour = {
  notNowProbability: 0.03,
  errorProbability: 0,
  oddAnswerProbability: 0,
  lostReplyProbability: 0,
  authenticateProbability: 0.5,
  renewalErrorProbability: 0,
  renewalIgnoredProbability: 0,
  renewalCrashProbability: 0,
  vanishProbability: 0,
  vanishForMs: 10_000,
  contactIntervalMs: 15 * 60_000,
  wakeJitterMs: 200,
  notNowForMs: 500,
};
