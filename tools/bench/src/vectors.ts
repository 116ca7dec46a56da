import { chmodSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Millrace } from '@millrace/client'
import { startPgvector } from '@millrace/dev'
import { machineFacts, makeDataDir } from './machine.ts'
import { percentile } from './statistics.ts'
import { startMillrace } from './systems/millrace-server.ts'
import { describeMachine } from './table.ts'

const help = `Measures vectors in a Postgres with pgvector: how fast they are put in, how long a search takes, and how many of
the ten nearest it finds (recall), against looking at every one.

  pnpm bench:vectors [--count N] [--dimension N] [--sources] [--dir PATH]

  --count N      vectors (default 100000)
  --dimension N  numbers in each (default 384)
  --sources      Millrace from its TypeScript sources instead of its build
  --dir PATH     where servers keep their data

Postgres is the machine's own when it has pgvector: apt-get install postgresql-17-pgvector, or bash tools/dev/install-pgvector.sh
`

const seed = 20261121
const queries = 200
const nearest = 10
const upserted = 2000
/** Vectors gather around this many points, as those of real texts gather around what they are about. */
const topics = 500
/** How far they lie around them, beside the length of 1 of the points. */
const spread = 0.6

/** Numbers between 0 and 1 from a seed (Mulberry32). */
function randomNumbers(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Vectors of length 1 around some points; the same for the same seed. */
function makeVectors(count: number, dimension: number): Float32Array[] {
  const random = randomNumbers(seed)
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  const direction = () => unit(Float32Array.from({ length: dimension }, normal))
  const points = Array.from({ length: topics }, direction)
  return Array.from({ length: count }, () => {
    const point = points[Math.floor(random() * topics)]!
    const noise = direction()
    return unit(point.map((number, i) => number + spread * noise[i]!))
  })
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector)
  return vector.map((number) => number / length)
}

/** Which vectors are nearest, by looking at each. All have the length 1: the larger the product, the nearer. */
function exact(vectors: readonly Float32Array[], query: Float32Array): Set<string> {
  const products = vectors.map((vector, i) => {
    let product = 0
    for (let j = 0; j < query.length; j++) product += vector[j]! * query[j]!
    return [product, i] as const
  })
  return new Set(
    products
      .toSorted((a, b) => b[0] - a[0])
      .slice(0, nearest)
      .map(([, i]) => String(i)),
  )
}

async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '100000' },
      dimension: { type: 'string', default: '384' },
      sources: { type: 'boolean', default: false },
      dir: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(help)
  const [count, dimension] = [Number(values.count), Number(values.dimension)]
  const parentDir = makeDataDir(values.dir)
  process.once('exit', () => rmSync(parentDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  console.log(describeMachine(machineFacts(parentDir)))
  // Postgres may have to run as another user, who must be let through.
  chmodSync(parentDir, 0o711)
  const settings = { maintenance_work_mem: '512MB', shared_buffers: '512MB' }
  await using postgres = await startPgvector({ parentDir, settings })
  await using server = await startMillrace({ parentDir, sources: values.sources, args: ['--tables', postgres.url] })
  await using mr = new Millrace({ ...server.address, timeout: '5m' })
  const all = makeVectors(count + queries, dimension)
  const [vectors, asked] = [all.slice(0, count), all.slice(count)]

  const documents = mr.vectors('documents')
  await documents.create({ dimension, metric: 'cosine' })
  const begun = performance.now()
  for (let i = 0; i < count; i += 2 * upserted) {
    // Two at a time: building the index is most of the work, and uses a core for each.
    const batches = [i, i + upserted].map((from) =>
      vectors.slice(from, from + upserted).map((vector, j) => ({ id: String(from + j), vector })),
    )
    await Promise.all(batches.filter((batch) => batch.length > 0).map((batch) => documents.upsert(batch)))
    if (process.stderr.isTTY) process.stderr.write(`\r${Math.min(i + 2 * upserted, count)} of ${count}`)
  }
  const seconds = (performance.now() - begun) / 1000
  console.log(`${count} vectors of ${dimension} put in, with their index: ${seconds.toFixed(1)} s, ${Math.round(count / seconds)} a second`)

  const truth = asked.map((query) => exact(vectors, query))
  console.log('\n| candidates | recall@10 | p50 | p99 |\n|---|---|---|---|')
  for (const candidates of [40, 100, 200, 400]) {
    const times: number[] = []
    let found = 0
    for (const [i, vector] of asked.entries()) {
      const start = performance.now()
      const matches = await documents.search({ vector, limit: nearest, candidates })
      times.push(performance.now() - start)
      found += matches.filter(({ id }) => truth[i]!.has(id)).length
    }
    const recall = found / (queries * nearest)
    console.log(
      `| ${candidates} | ${recall.toFixed(3)} | ${percentile(times, 0.5).toFixed(2)} ms | ${percentile(times, 0.99).toFixed(2)} ms |`,
    )
  }
}

await bench()
