import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { Harness } from '../conformance/harness.ts'
import { sqliteStores } from './test-store.ts'

test('a store is copied while it is written to, and each copy is whole', async () => {
  const harness = await Harness.open(sqliteStores)
  onTestFinished(() => harness.close())
  const folder = mkdtempSync(join(tmpdir(), 'millrace-copies-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  let copying = true
  let written = 0
  const writing = (async () => {
    while (copying) {
      await harness.enqueue(...Array.from({ length: 20 }, () => ({ queue: `q${written}` })))
      written += 20
    }
  })()
  for (let copy = 0; copy < 30; copy++) {
    const before = written
    const file = join(folder, `${copy}.db`)
    await harness.store.backup!(file)
    using db = new DatabaseSync(file, { readOnly: true })
    expect(db.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    expect(db.prepare('SELECT count(*) AS jobs FROM jobs').get()!.jobs).toBeGreaterThanOrEqual(before)
  }
  copying = false
  await writing
})
