import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { TableEngine } from '../../domain/tables/engine.ts'
import { readWhere } from '../../domain/tables/filter-object.ts'
import { type RowChange, RowChanges } from '../../domain/tables/row-changes.ts'
import type { Scope } from '../../store/ports.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import type { TestBackend } from './test-backends.ts'

/** What to watch of a table. */
export interface WatchOptions {
  readonly where?: object
  readonly user?: string
  readonly at?: Scope
  readonly after?: string
  readonly columns?: string
  /** The server that watches. */
  readonly from?: RowChanges
}

/** Changes over a backend that tests may have, on a clock that stands still; opened before them and closed after. */
export function useChanges({ open, missing }: TestBackend) {
  const clock = new ManualClock()
  const scope = { tenant: 1, namespace: 'default' }
  let opened: Awaited<ReturnType<TestBackend['open']>> | undefined
  let engine: TableEngine | undefined
  let changes: RowChanges | undefined
  beforeAll(async () => {
    if (missing) return
    opened = await open({ timeoutMs: 20_000 })
    engine = new TableEngine({ database: opened.database, bounds: { rows: 1000, bytes: 4 << 20 } })
    changes = new RowChanges(engine, clock)
  }, 180_000)
  afterAll(async () => {
    changes?.close()
    await opened?.discard()
  })
  return {
    clock,
    scope,
    get opened() {
      return opened!
    },
    get engine() {
      return engine!
    },
    get changes() {
      return changes!
    },
    run: (text: string, at: Scope = scope) => engine!.sql(at, { text, values: [] }),
    watch: (table: string, options: WatchOptions = {}) => watchTable(options.from ?? changes!, clock, table, { at: scope, ...options }),
  }
}

/** Watches a table; `next` resolves with the next changes. */
async function watchTable(
  from: RowChanges,
  clock: ManualClock,
  table: string,
  { where = {}, user = '', at, after = '', columns = '' }: WatchOptions & { readonly at: Scope },
) {
  let wake: () => void = () => undefined
  let woken = true
  const onWake = () => {
    woken = true
    wake()
  }
  const watcher = await from.watch({ scope: at, user, table, columns, where: readWhere(where), after }, onWake)
  onTestFinished(() => from.leave(watcher))
  const seen: RowChange[] = []
  let cursor = ''
  const read = async () => {
    // Past the pause between two reads.
    await clock.advance(50)
    const batch = await watcher.read()
    if (batch) cursor = batch.cursor
    seen.push(...(batch?.changes ?? []))
    return batch
  }
  await read()
  return {
    cursor: () => cursor,
    seen,
    async next(count: number) {
      while (seen.length < count) {
        if (await read()) continue
        if (seen.length < count && !woken) await new Promise<void>((resolve) => (wake = resolve))
        woken = false
      }
      return seen.splice(0, count).map(shape)
    },
    read,
    leave: () => from.leave(watcher),
  }
}

function shape({ type, row, old }: RowChange) {
  return [type, ...[old, row].flatMap((json) => (json === undefined ? [] : [JSON.parse(json)]))]
}
