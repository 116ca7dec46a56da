import { pgBouncerVersion, startPgBouncer, whyMissing } from '@millrace/dev'
import { afterAll } from 'vitest'
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

/** The same, reached through PgBouncer in transaction mode. */
export async function pooledPostgresStores(): Promise<StoreFactory> {
  const server = await openTestServer()
  const missing = server.missing ?? whyNoPooler(server.given)
  if (missing) return { missing, open: () => Promise.reject(new Error(missing)) }
  const pooler = await startPgBouncer(await server.create())
  afterAll(() => pooler.stop())
  return {
    async open(options) {
      const database = await server.create()
      const url = Object.assign(new URL(pooler.url), { pathname: new URL(database.url).pathname, search: '?pgbouncer=true' }).href
      const open = () => openPostgresStore({ ...options, url })
      return { store: await open(), reopen: open, discard: () => database.drop() }
    },
  }
}

function whyNoPooler(given: boolean | undefined): string | undefined {
  if (given) return 'PgBouncer is tested with a Postgres of its own: without MILLRACE_TEST_POSTGRES_URL'
  return whyMissing(pgBouncerVersion)
}
