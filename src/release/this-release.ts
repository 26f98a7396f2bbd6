/**
 * The numbers of this release. There are four kinds, never inferred from one another; the release number is compared
 * with `package.json` when an archive is built.
 */
export interface ReleaseNumbers {
  /** `major.minor.patch`. */
  readonly release: string;
  /** Number of the last expanding migration: the schema version until the upgrade is finalized. */
  readonly schemaVersion: number;
  /** The least schema that its instances, routers and connection services run on. */
  readonly leastSchemaVersion: number;
  /** Versions of the SRP link that it speaks. */
  readonly linkVersions: readonly number[];
  /** Names of the features that it knows. */
  readonly features: readonly string[];
}

export const thisRelease: ReleaseNumbers = {
  release: '1.5.0',
  schemaVersion: 45,
  leastSchemaVersion: 32,
  linkVersions: [1, 2],
  features: [
    'connection-service-sharing',
    'it-policy-rules-2',
    'scep-registration-authority',
    'database-roles',
    'push-topic-from-certificate',
    'device-tls-identity',
    'device-identity-renewal',
    'further-platforms',
    'retention',
    'master-key-rotation',
    'device-authority-rollover',
    'route-signer-rollover',
    'further-routers',
    'domain-authority-rollover',
  ],
};
