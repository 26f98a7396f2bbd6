/** What of `oidc-provider`, which has no types of its own, the tests use. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  type Json = Record<string, unknown>;

  interface Grant {
    addOIDCScope(scope: string): void;
    save(): Promise<string>;
  }

  export class Provider {
    constructor(
      issuer: string,
      configuration: Json & {
        findAccount: (context: unknown, id: string) => { accountId: string; claims(): Json };
        interactions: { url: (context: unknown, interaction: { uid: string }) => string };
      },
    );
    readonly Grant: new (of: {
      accountId: string;
      clientId: string;
    }) => Grant;
    callback(): (incoming: IncomingMessage, response: ServerResponse) => Promise<void>;
    interactionDetails(incoming: IncomingMessage, response: ServerResponse): Promise<{ params: Json }>;
    interactionFinished(
      incoming: IncomingMessage,
      response: ServerResponse,
      result: Json,
      options: { mergeWithLastSubmission: boolean },
    ): Promise<void>;
  }
}
