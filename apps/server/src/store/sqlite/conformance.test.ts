import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeConformance } from '../conformance/index.ts'
import { openSqliteStore } from './open.ts'

storeConformance('sqlite', {
  async open(options) {
    const path = await mkdtemp(join(tmpdir(), 'millrace-store-'))
    const open = () => openSqliteStore({ ...options, path })
    return { store: await open(), reopen: open, discard: () => rm(path, { recursive: true }) }
  },
})
