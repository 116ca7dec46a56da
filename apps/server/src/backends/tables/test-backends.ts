import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TableDatabase } from '../../domain/tables/backend.ts'
import { openTestServer } from '../../store/postgres/test-database.ts'
import { PgliteDatabase } from './pglite/open.ts'
import { PostgresTables } from './postgres/open.ts'

/** A backend under test. */
export interface TestBackend {
  readonly name: 'pglite' | 'postgres'
  /** Why it cannot be tested here. */
  readonly missing?: string | undefined
  /** Opens a database of its own. */
  open(options: { readonly timeoutMs: number }): Promise<{
    readonly database: TableDatabase
    /** The same, as another server opens it; missing when there can be one alone. */
    another?(): TableDatabase
    discard(): Promise<void>
  }>
}

/** Every backend of tables. */
export async function testBackends(): Promise<readonly TestBackend[]> {
  const server = await openTestServer()
  return [
    {
      name: 'pglite',
      async open({ timeoutMs }) {
        const directory = mkdtempSync(join(tmpdir(), 'millrace-tables-'))
        const database = new PgliteDatabase({ directory, timeoutMs })
        return {
          database,
          async discard() {
            await database.close()
            rmSync(directory, { recursive: true, force: true })
          },
        }
      },
    },
    {
      name: 'postgres',
      missing: server.missing,
      async open({ timeoutMs }) {
        const { url, drop } = await server.create()
        const database = new PostgresTables({ url, timeoutMs, connections: 4 })
        return {
          database,
          another: () => new PostgresTables({ url, timeoutMs, connections: 4 }),
          async discard() {
            await database.close()
            await drop()
          },
        }
      },
    },
  ]
}
