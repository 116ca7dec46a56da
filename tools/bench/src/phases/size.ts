import { payloadSource } from '../payloads.ts'
import { type DatabaseAddress, query } from '../systems/database.ts'
import type { Figure, PhaseContext, PhaseResult } from './phase.ts'

/** How often the tables are looked at while jobs go through. */
const looks = 10

/** Jobs go through a queue in which few wait; how large its tables become. Figures: after a tenth of the jobs, at the end, and at most. */
export async function size({ client, sizes, measure }: PhaseContext, database: DatabaseAddress): Promise<PhaseResult> {
  const { sizeJobs: count, sizeDepth: depth, batch } = sizes
  const next = payloadSource(sizes.payloadBytes)
  const tables: TableSizes[] = []
  let enqueued = 0
  let completed = 0
  let room = Promise.withResolvers<void>()
  const { window } = await measure(async () => {
    const worker = await client.work('bench', {
      concurrency: sizes.concurrency,
      handle() {},
      completed: () => {
        completed++
        if (completed % batch === 0) room.resolve()
      },
    })
    while (completed < count) {
      if (completed >= ((tables.length + 1) * count) / looks) tables.push(await tableSizes(database.url))
      if (enqueued < count && enqueued - completed <= depth - batch) {
        const length = Math.min(batch, count - enqueued)
        await client.enqueueBatch('bench', Array.from({ length }, next))
        enqueued += length
        continue
      }
      room = Promise.withResolvers<void>()
      if (completed < count && enqueued - completed > depth - batch) await room.promise
      else if (completed < count) await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await worker.stop()
    return {}
  })
  tables.push(await tableSizes(database.url))
  const [first, last] = [tables[0]!, tables.at(-1)!]
  const figures: Figure[] = [
    { name: 'size-rate', value: count / window.seconds },
    { name: 'size-hot-first', value: first.hot },
    { name: 'size-hot-last', value: last.hot },
    { name: 'size-hot-most', value: Math.max(...tables.map(({ hot }) => hot)) },
    { name: 'size-ended-last', value: last.ended },
    { name: 'size-ended-most', value: Math.max(...tables.map(({ ended }) => ended)) },
  ]
  console.error(`  size: MiB of live and of ended jobs at each tenth: ${tables.map(text).join(', ')}`)
  return { figures, window, problems: [] }
}

/** Bytes on disk, indexes included. */
interface TableSizes {
  /** What jobs pass through. */
  readonly hot: number
  /** What is kept of those that ended until their time is over. */
  readonly ended: number
}

async function tableSizes(url: string): Promise<TableSizes> {
  const [row] = await query<{ hot: string; ended: string }>(
    url,
    `SELECT coalesce(sum(size) FILTER (WHERE NOT ended), 0) AS hot, coalesce(sum(size) FILTER (WHERE ended), 0) AS ended FROM (
       SELECT pg_total_relation_size(oid) AS size, relname ~ '^(completed|requests|idempotency|labels|logs)' AS ended
       FROM pg_class WHERE relnamespace = 'millrace'::regnamespace AND relkind = 'r'
     ) AS tables`,
  )
  return { hot: Number(row!.hot), ended: Number(row!.ended) }
}

function text({ hot, ended }: TableSizes): string {
  return `${Math.round(hot / 2 ** 20)}/${Math.round(ended / 2 ** 20)}`
}
