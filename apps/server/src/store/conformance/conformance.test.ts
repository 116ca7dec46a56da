import { readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { pooledPostgresStores, postgresStores } from '../postgres/test-store.ts'
import { sqliteStores } from '../sqlite/test-store.ts'
import { storeConformance } from './index.ts'

const factories = { postgres: await postgresStores(), sqlite: sqliteStores }

storeConformance({ ...factories, pgbouncer: await pooledPostgresStores() })

// What the adapters share.
const shared = ['conformance', 'flow']

it('every adapter is put under test', () => {
  const folders = readdirSync(new URL('..', import.meta.url), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(folders.map(({ name }) => name).sort()).toEqual([...shared, ...Object.keys(factories)].sort())
})
