import type { AccountServiceDefinition } from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { requireWhole } from '../domain/keys/limited-scope.ts'
import type { RateLimits } from '../domain/keys/rate-limits.ts'
import type { Store } from '../store/ports.ts'
import type { ServiceOf } from './call.ts'

/** Tells callers of their own limits. */
export function createAccountService({
  rateLimits,
  quotas,
  clock,
}: {
  readonly rateLimits: RateLimits
  readonly quotas: Store['quotas']
  readonly clock: Clock
}): ServiceOf<typeof AccountServiceDefinition> {
  return {
    async getRateLimit(_, { principal }) {
      const status = rateLimits.status(principal.key)
      if (!status) return { limit: 0, remaining: 0, resetAt: undefined }
      const { limit, remaining, resetMs } = status
      return { limit, remaining, resetAt: new Date(clock.now() + resetMs) }
    },

    async getQuotas(_, { scope }) {
      requireWhole(scope, 'read quotas')
      const all = await quotas(scope.tenant)
      return { quotas: all.map(({ type, used, limit }) => ({ type, current: used, limit })) }
    },
  }
}
