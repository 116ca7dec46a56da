// What happened here lately: `node src/main.ts`. Starts a server, brings this repository's history to a bucket, from there into an
// analytical database, sums it up by month into a table of Postgres, and prints the last twelve.
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Millrace } from '@millrace/client'
import { readHistory } from './history.ts'
import { startServer } from './server.ts'
import { latest, load } from './workflow.ts'

await using data = await mkdtempDisposable(join(tmpdir(), 'millrace-history-'))
await using server = await startServer(data.path)
await using mr = new Millrace({ endpoint: server.endpoint, apiKey: server.key })

const loaded = await load(mr, await readHistory(import.meta.dirname))

const columns = ['month', 'commits', 'authors', 'insertions', 'deletions'] as const
console.log(columns.map((column) => column.padStart(12)).join(''))
for (const month of await latest(mr, 12)) console.log(columns.map((column) => String(month[column]).padStart(12)).join(''))
console.log(`${loaded.commits} commits in ${loaded.months} ${loaded.months === 1 ? 'month' : 'months'}`)
