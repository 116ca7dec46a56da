import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StoreFactory } from '../conformance/harness.ts'
import { openSqliteStore } from './open.ts'

/** SQLite stores in folders of their own. */
export const sqliteStores: StoreFactory = {
  async open(options) {
    const path = await mkdtemp(join(tmpdir(), 'millrace-store-'))
    const open = () => openSqliteStore({ ...options, path })
    return { store: await open(), reopen: open, discard: () => rm(path, { recursive: true }) }
  },
}
