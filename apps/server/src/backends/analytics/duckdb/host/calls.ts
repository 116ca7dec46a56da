import { type DuckDBConnection, type DuckDBPreparedStatement, ResultReturnType, StatementType } from '@duckdb/node-api'
import { copyFiles } from './copy.ts'
import { OpenDatabases } from './databases.ts'
import { writeRows } from './export.ts'
import { Failure, failureOf, messageOf } from './failure.ts'
import type { Lease } from './lease.ts'
import { load, loadObject } from './load.ts'
import type { HostInput, HostLimits, HostOperation, HostOutput, Row } from './protocol.ts'
import { RowReader } from './row-reader.ts'
import { prepare, unexplained } from './statements.ts'
import { Streams } from './streams.ts'
import { verify } from './verify.ts'

/** Bytes of the values in one batch of a stream. */
const batchBytes = 256 * 1024

type Handlers = {
  readonly [O in HostOperation]: (input: HostInput<O>, call: HostCall) => Promise<HostOutput<O>>
}

/** How often an interrupt is repeated, in milliseconds. */
const interruptEveryMs = 50

/** A call under way. */
export class HostCall {
  #lease: Lease | undefined
  #interrupts: NodeJS.Timeout | undefined

  /** Ends what runs, and what would run next. DuckDB forgets an interrupt that comes between two steps, so it is repeated. */
  interrupt(): void {
    this.#lease?.interrupt()
    this.#interrupts ??= setInterval(() => this.#lease?.interrupt(), interruptEveryMs)
  }

  /** The call is over. */
  end(): void {
    clearInterval(this.#interrupts)
  }

  /** Makes what runs on a connection end with the call. */
  watch(lease: Lease | undefined): void {
    this.#lease = lease
    this.check()
  }

  /** Ends a call that nobody waits for. */
  check(): void {
    if (this.#interrupts) throw new Failure({ reason: 'UNAVAILABLE', message: 'The query was ended.' })
  }
}

/** What the process does for the server. */
export function createHandlers(limits: HostLimits): Handlers {
  const databases = new OpenDatabases(limits)
  const streams = new Streams()

  /** Runs on a connection of its own that a call can interrupt. */
  const use = <T>(at: string, call: HostCall, work: (lease: Lease) => Promise<T>): Promise<T> =>
    databases.use(at, async (lease) => {
      call.watch(lease)
      try {
        return await work(lease)
      } finally {
        call.watch(undefined)
      }
    })
  /** The same for what changes nothing. */
  const ask = <T>(at: string, call: HostCall, work: (lease: Lease) => Promise<T>): Promise<T> =>
    use(at, call, (lease) =>
      lease.run(() => {
        call.check()
        return work(lease)
      }),
    )

  return {
    async create({ at }) {
      await databases.use(at, async () => undefined)
      await databases.release(at)
    },

    async query({ at, statement, bounds, file }, call) {
      return ask(at, call, async (lease) => {
        if (file) await told({ sql: '', path: file.path }, () => loadObject(lease, file))
        return told(statement, async () => {
          const reader = await read(lease, statement)
          try {
            const batch = await reader.take(bounds)
            const empty = { rows: 0, values: Buffer.from(`[${reader.columns.map(() => '[]').join(',')}]`) }
            return { columns: reader.columns, ...(batch ?? empty), more: await reader.hasMore() }
          } finally {
            await reader.close()
          }
        })
      })
    },

    async open({ at, statement }, call) {
      const lease = await databases.connect(at)
      try {
        call.watch(lease)
        const reader = await told(statement, () => lease.run(() => read(lease, statement)))
        return { stream: await streams.add(lease, reader), columns: reader.columns }
      } catch (error) {
        lease.close()
        throw error
      }
    },

    async next({ stream }, call) {
      return streams.read(stream, ({ reader, lease }) => {
        call.watch(lease)
        const take = () => reader.take({ limit: Number.POSITIVE_INFINITY, bytes: batchBytes })
        return told({ sql: '', path: 'sql' }, () => lease.run(take))
      })
    },

    async end({ stream }) {
      await streams.end(stream)
    },

    async execute({ at, statements }, call) {
      return use(at, call, (lease) =>
        lease.change(async () => {
          const { connection } = lease
          // One statement is a transaction by itself, and some are only allowed alone.
          if (statements.length > 1) await connection.run('BEGIN')
          const rows: number[] = []
          for (const statement of statements) {
            call.check()
            await told(statement, async () => {
              const prepared = await prepare(connection, statement, 'execute')
              rows.push(await changedRows(prepared))
              prepared.destroySync()
            })
          }
          if (statements.length > 1) await told({ sql: '', path: 'statements' }, () => connection.run('COMMIT'))
          return rows
        }),
      )
    },

    async explain({ at, statement, analyze }, call) {
      return ask(at, call, ({ connection }) => told(statement, () => explain(connection, statement, analyze)))
    },

    async catalog({ at, sql, values }, call) {
      return ask(at, call, ({ connection }) =>
        told({ sql, path: '' }, async () => {
          const reader = await connection.runAndReadAll(sql, [...values])
          return reader.getRowObjectsJson() as Row[]
        }),
      )
    },

    async staging({ at }) {
      return databases.staging(at)
    },

    async load({ at, file }, call) {
      return use(at, call, (lease) => lease.change(() => told({ sql: '', path: file.path }, () => load(lease, file))))
    },

    async export({ at, statement, file }, call) {
      return ask(at, call, (lease) => told(statement, () => writeRows(lease, statement, file, limits.spill)))
    },

    async copy({ at, to }, call) {
      await use(at, call, (lease) => lease.hold(() => copyFiles(at, to, call)))
      await databases.use(to, async () => undefined)
      await databases.release(to)
    },

    async verify({ at, path }) {
      try {
        await databases.use(at, (lease) => verify(lease.connection))
      } catch (error) {
        throw new Failure({ reason: 'VALIDATION', path, message: `holds no database that can be used here: ${messageOf(error)}` })
      } finally {
        await databases.release(at)
      }
    },

    async release({ at }) {
      await databases.release(at)
    },

    async stop() {
      await databases.releaseAll()
      process.exit()
    },
  }
}

/** Statements that say with RETURNING which rows they changed. */
const returning: ReadonlySet<StatementType> = new Set([
  StatementType.INSERT,
  StatementType.UPDATE,
  StatementType.DELETE,
  StatementType.MERGE_INTO,
])

/** Carries out a statement. @returns how many rows it changed, which DuckDB does not count where it returns them. */
async function changedRows(prepared: DuckDBPreparedStatement): Promise<number> {
  const result = await prepared.run()
  if (result.returnType !== ResultReturnType.QUERY_RESULT || !returning.has(prepared.statementType)) return result.rowsChanged
  let rows = 0
  for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) rows += chunk.rowCount
  return rows
}

/** Begins a query of a tenant: it changes nothing, whatever it calls. */
async function read(lease: Lease, statement: Parameters<typeof prepare>[1]): Promise<RowReader> {
  const { connection } = lease
  const explained = unexplained(statement.sql)
  // What is explained is checked as if it were to run, for that is what ANALYZE does.
  if (explained !== undefined) (await prepare(connection, { ...statement, sql: explained }, 'query')).destroySync()
  // Neither needs the other; and none may be under way when the connection is closed.
  const [prepared, begun] = await Promise.allSettled([
    prepare(connection, statement, explained === undefined ? 'query' : 'explain'),
    connection.run('BEGIN TRANSACTION READ ONLY'),
  ])
  if (prepared.status === 'rejected') throw prepared.reason
  if (begun.status === 'rejected') throw begun.reason
  return new RowReader(lease, await prepared.value.stream(), () => failAgain(connection, statement))
}

/** Carries out a query that failed once more, without sending its rows, to learn why. */
async function failAgain(connection: DuckDBConnection, statement: Parameters<typeof prepare>[1]): Promise<never> {
  const explain = 'EXPLAIN ANALYZE '
  try {
    await connection.run('ROLLBACK')
    await connection.run('BEGIN TRANSACTION READ ONLY')
    await (await prepare(connection, { ...statement, sql: explain + statement.sql }, 'explain')).run()
  } catch (error) {
    throw new Failure(failureOf(error, statement.sql, statement.path, explain.length))
  }
  throw new Failure({
    reason: 'UNAVAILABLE',
    message: 'The query failed after some of its rows, and not when it was tried again. Try again.',
  })
}

async function explain(connection: DuckDBConnection, statement: Parameters<typeof prepare>[1], analyze: boolean): Promise<string> {
  const sql = `EXPLAIN ${analyze ? 'ANALYZE ' : ''}${statement.sql}`
  ;(await prepare(connection, statement, 'query')).destroySync()
  const prepared = await prepare(connection, { ...statement, sql }, 'explain')
  await connection.run('BEGIN TRANSACTION READ ONLY')
  const rows = (await prepared.runAndReadAll()).getRowsJson()
  return rows.map((row) => String(row[1])).join('\n')
}

/** Says of what fails where in the SQL it is. */
async function told<T>({ sql, path }: { readonly sql: string; readonly path: string }, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new Failure(failureOf(error, sql, path))
  }
}
