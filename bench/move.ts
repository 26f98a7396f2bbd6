export const benchMove = async (_: object) => ({});
export const describeMove = (_: object) => '';
