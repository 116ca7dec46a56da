import type { TenantId } from '../ports.ts'
import { mostOf, type QuotaUse } from '../quotas.ts'
import type { Context } from './context.ts'

/** Counts what is limited for a tenant as a whole. Each is a table of its name. */
export function quotaReader(context: Context): (tenant: TenantId) => Promise<readonly QuotaUse[]> {
  const counts = (['queues', 'streams', 'kv_stores', 'buckets'] as const).map((type) => {
    return { type, count: context.db.prepare(`SELECT count(*) AS used FROM ${type} WHERE tenant = ?`) }
  })
  return (tenant) =>
    context.read(() => counts.map(({ type, count }) => ({ type, used: Number(count.get(tenant)!.used), limit: mostOf[type] })))
}
