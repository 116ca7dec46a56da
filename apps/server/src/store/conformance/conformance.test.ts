import { readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { sqliteStores } from '../sqlite/test-store.ts'
import { storeConformance } from './index.ts'

storeConformance({ sqlite: sqliteStores })

// What the adapters share.
const shared = ['conformance', 'flow']
// A file of its own for each, so that they run side by side.
const elsewhere = ['postgres']

it('every adapter is put under test', () => {
  const folders = readdirSync(new URL('..', import.meta.url), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(folders.map(({ name }) => name).sort()).toEqual([...shared, 'sqlite', ...elsewhere].sort())
  expect(readdirSync(import.meta.dirname)).toEqual(expect.arrayContaining(elsewhere.map((name) => `conformance-${name}.test.ts`)))
})
