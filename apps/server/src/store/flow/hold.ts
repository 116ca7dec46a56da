import type { TenantId } from '../ports.ts'
import { type Program, query } from './program.ts'

/** Holds gates until the end of the transaction: in this order everywhere. */
export function* holdGates(tenant: TenantId, gates: readonly string[]): Program<void> {
  for (const gate of gates) {
    yield* query(
      `INSERT INTO millrace.gates AS g (tenant, gate, inside) VALUES ($1, $2, 0)
        ON CONFLICT (tenant, gate) DO UPDATE SET inside = g.inside`,
      [tenant, gate],
    )
  }
}
