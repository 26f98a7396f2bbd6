/** The IT policy rules of this release. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { registeredPlatforms } from '../../../platforms/registered/platforms.ts';
import { rules } from '../../../policies/rules.ts';
import { jsonObject } from '../shapes.ts';

const ruleShape = z.object({
  name: z.string(),
  group: z.string(),
  description: z.string(),
  least: z.record(z.string(), z.string()).describe('The minimum version of each device family that supports it.'),
  values: jsonObject.describe('JSON Schema of its value.'),
  default: z.union([z.boolean(), z.number(), z.string()]).nullable().describe('The default if no policy sets it.'),
  feature: z.string().nullable().describe('The feature that must be active before a policy may set it.'),
});

export function policyRuleRoutes(): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/it-policies/rules',
      schema: {
        tags: ['it-policies'],
        summary: 'The IT policy rules of this release',
        response: { 200: z.object({ rules: z.array(ruleShape) }) },
      },
      handler: async () => ({
        rules: Object.entries(rules).map(([ruleName, rule]) => ({
          name: ruleName,
          group: rule.group,
          description: rule.description,
          least: leastVersionsOf(ruleName),
          values: jsonSchemaOf(rule.value),
          default: rule.default ?? null,
          feature: rule.feature ?? null,
        })),
      }),
    });
  };
}

/** Of the families of all platforms. */
function leastVersionsOf(rule: string): Record<string, string> {
  return Object.assign({}, ...registeredPlatforms.all.map(({ compiler }) => compiler.leastVersions(rule)));
}

function jsonSchemaOf(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema);
  return rest;
}
