/** What `bramble run <kind>` starts. Each is imported on demand. */

/** Returns when the process has drained; throws the error that prevented or ended its work. */
type ProcessMain = () => Promise<void>;

export const processMains: Readonly<Record<string, ProcessMain>> = {
  administration: async () => {
    const { runAdministration } = await import('../processes/administration/main.ts');
    await runAdministration();
  },
  server: async () => {
    const { runServer } = await import('../processes/server/main.ts');
    await runServer();
  },
  router: async () => {
    const { runRouter } = await import('../processes/router/main.ts');
    await runRouter();
  },
  connection: async () => {
    const { runConnectionService } = await import('../processes/connection/main.ts');
    await runConnectionService();
  },
  coordinator: async () => {
    const { runCoordinator } = await import('../processes/coordinator/main.ts');
    await runCoordinator();
  },
  signpost: async () => {
    const { runSignpost } = await import('../processes/signpost/main.ts');
    await runSignpost();
  },
};

export const processKinds: readonly string[] = Object.keys(processMains);
