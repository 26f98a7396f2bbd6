/** The IT policy rules of this release. */
import type { FastifyPluginAsync } from 'fastify';
import * as z from 'zod';
import { itPolicyOperations } from '../../../api/it-policies.ts';
import type { Platforms } from '../../../platforms/port.ts';
import { rules } from '../../../policies/rules.ts';
import { serve } from '../../../rest/serve.ts';
import type { AdministrationContext } from '../context.ts';

export function policyRuleRoutes({ platforms }: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, itPolicyOperations.listRules, async () => ({
      rules: Object.entries(rules).map(([ruleName, rule]) => ({
        name: ruleName,
        group: rule.group,
        description: rule.description,
        least: minVersionsOf(platforms, ruleName),
        values: jsonSchemaOf(rule.value),
        default: rule.default ?? null,
        feature: rule.feature ?? null,
      })),
    }));
  };
}

/** Of the families of all platforms. */
function minVersionsOf(platforms: Platforms, rule: string): Record<string, string> {
  return Object.assign({}, ...platforms.all.map(({ compiler }) => compiler.minVersions(rule)));
}

function jsonSchemaOf(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema);
  return rest;
}
