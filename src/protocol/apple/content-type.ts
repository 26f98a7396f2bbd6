/** Content types of what devices send and fetch. */
export const appleContentType = {
  checkin: 'application/x-apple-aspen-mdm-checkin',
  connect: 'application/x-apple-aspen-mdm',
  profile: 'application/x-apple-aspen-config',
  plist: 'application/xml',
} as const;
