import type { TenantId } from '../ports.ts'
import { mostOf, type QuotaUse } from '../quotas.ts'
import type { Database, Statement } from './database.ts'

const counts: Statement = {
  name: 'quotas',
  repeatable: true,
  text: `SELECT (SELECT count(*)::int FROM millrace.queues WHERE tenant = $1), (SELECT count(*)::int FROM millrace.buckets WHERE tenant = $1)`,
}

/** Counts what is limited for a tenant as a whole. */
export async function readQuotas(db: Database, tenant: TenantId): Promise<readonly QuotaUse[]> {
  const [row] = await db.run<[number, number]>(counts, [tenant])
  const [queues, buckets] = row!
  return [
    { type: 'queues', used: queues, limit: mostOf.queues },
    { type: 'buckets', used: buckets, limit: mostOf.buckets },
  ]
}
