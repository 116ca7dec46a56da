import type { TenantId } from '../ports.ts'
import { mostOf, type QuotaUse } from '../quotas.ts'
import type { Database, Statement } from './database.ts'

const countQueues: Statement = {
  name: 'quota_queues',
  repeatable: true,
  text: 'SELECT count(*)::int FROM millrace.queues WHERE tenant = $1',
}

/** Counts what is limited for a tenant as a whole. */
export async function readQuotas(db: Database, tenant: TenantId): Promise<readonly QuotaUse[]> {
  const [row] = await db.run<[number]>(countQueues, [tenant])
  return [{ type: 'queues', used: row![0], limit: mostOf.queues }]
}
