import type { StoreFactory } from '../conformance/harness.ts'
import { openPostgresStore } from './open.ts'
import { openTestServer } from './test-database.ts'

/** Postgres stores in databases of their own. */
export async function postgresStores(): Promise<StoreFactory> {
  const server = await openTestServer()
  return {
    missing: server.missing,
    async open(options) {
      const database = await server.create()
      const open = () => openPostgresStore({ ...options, url: database.url })
      return { store: await open(), reopen: open, discard: () => database.drop() }
    },
  }
}
