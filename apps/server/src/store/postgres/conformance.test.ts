import { storeConformance } from '../conformance/index.ts'
import { openPostgresStore } from './open.ts'
import { useTestServer } from './test-database.ts'

const server = await useTestServer()

storeConformance('postgres', {
  async open(options) {
    const database = await server.create()
    const open = () => openPostgresStore({ ...options, url: database.url })
    return { store: await open(), reopen: open, discard: () => database.drop() }
  },
})
