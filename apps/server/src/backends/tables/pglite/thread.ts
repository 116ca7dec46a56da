import { fsyncSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { messages, PGlite, protocol } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import { changesChannel, copyRefused, type ResultBounds, type SqlOutcome } from '../../../domain/tables/backend.ts'
import type { PgliteAnswer, PgliteResult, PgliteTask } from './messages.ts'
import { SessionLock } from './session-lock.ts'

const { Parser, serialize } = protocol
/** The superuser that PGlite makes. */
const server = 'postgres'

// Its own defaults, but that commits are brought to the disk.
const startParams = ['--single', '-O', '-j', '-c', 'search_path=pg_catalog', '-c', 'exit_on_error=false', '-c', 'log_checkpoints=false']
for (const workers of [
  'max_worker_processes',
  'max_parallel_workers',
  'max_parallel_workers_per_gather',
  'max_parallel_maintenance_workers',
]) {
  startParams.push('-c', `${workers}=0`)
}
startParams.push('-c', 'io_method=sync', '-c', 'wal_sync_method=fsync', '-c', 'shared_buffers=32MB')
// Of Postgres's own stack. The thread's, which calls of WebAssembly fill, has room for more than twice what goes with it.
startParams.push('-c', 'max_stack_depth=1MB')

const database = await PGlite.create({ dataDir: workerData.directory, extensions: { vector }, startParams })
syncFiles(database)
const lock = new SessionLock(database)
lock.lock()
/** Said on the channel of changes since the last answer. Whoever runs SQL can speak there, so there is a limit. */
const said = new Set<string>()
const mostSaid = 1000

/** Has `fsync` of a file reach the disk: PGlite's file system leaves it out. */
function syncFiles(pglite: PGlite): void {
  const { FS } = pglite.Module as unknown as {
    readonly FS: {
      lookupPath(path: string): { readonly node: { readonly stream_ops: { fsync?: (stream: { readonly nfd: number }) => number } } }
    }
  }
  FS.lookupPath('/pglite/data').node.stream_ops.fsync = ({ nfd }) => {
    fsyncSync(nfd)
    return 0
  }
}

/** Carries out one message of the protocol, or several; each answer is looked at as it comes, and kept by nobody else. */
async function send(parts: readonly Uint8Array[], take: (message: messages.BackendMessage) => void = () => undefined): Promise<void> {
  const parser = new Parser()
  let failure: Error | undefined
  const onMessage = (message: messages.BackendMessage) => {
    if (message instanceof messages.NotificationResponseMessage && message.channel === changesChannel && said.size < mostSaid) {
      said.add(message.payload)
    } else if (message instanceof messages.DatabaseError) {
      failure ??= isLast(message) ? new Error(`Postgres ended: ${message.message}`) : message
    } else take(message)
  }
  // A copy: the bytes are a place in the memory of Postgres, where the next ones will be.
  const onRawData = (data: Uint8Array) => parser.parse(data.slice(), onMessage)
  await database.execProtocolRawStream(Buffer.concat(parts), { syncToFs: false, onRawData })
  if (failure) throw failure
}

/** True for an error that Postgres itself did not outlive. */
function isLast({ severity }: messages.DatabaseError): boolean {
  return severity === 'FATAL' || severity === 'PANIC'
}

/** The answer to a COPY that waits for rows, without which nothing else would be read. In all other places Postgres leaves it out. */
const noRows = serialize.copyFail(copyRefused)

async function run(text: string): Promise<void> {
  await send([serialize.query(text), noRows])
}

/** Logs in as a role, or as the server. Whatever was set before is forgotten. */
async function login(role: string | undefined, settings: readonly string[]): Promise<void> {
  lock.unlock()
  try {
    await run('ROLLBACK')
    await run('DISCARD ALL')
    await run(`LISTEN ${changesChannel}`)
    await run(`SET SESSION AUTHORIZATION "${role ?? server}"`)
    for (const setting of settings) await run(setting)
  } finally {
    lock.lock()
  }
}

async function query({ text, values, bounds }: PgliteTask & { readonly do: 'query' }): Promise<PgliteResult> {
  const rows: (readonly (string | null)[])[] = []
  let columns: SqlOutcome['columns'] = []
  let tag = ''
  let bytes = 0
  let ended = false
  let tooLarge: keyof ResultBounds | undefined
  await send(
    [
      serialize.parse({ text }),
      serialize.bind({ values: [...values] }),
      serialize.describe({ type: 'P' }),
      serialize.execute({ rows: bounds.rows + 1 }),
      noRows,
      serialize.sync(),
    ],
    (message) => {
      ended ||= message instanceof messages.CommandCompleteMessage || message.name === 'emptyQuery' || message.name === 'portalSuspended'
      if (message instanceof messages.RowDescriptionMessage)
        columns = message.fields.map(({ name, dataTypeID }) => ({ name, type: dataTypeID }))
      else if (message instanceof messages.CommandCompleteMessage) tag = message.text
      else if (message instanceof messages.DataRowMessage && !tooLarge) {
        bytes += message.length
        rows.push(message.fields)
        if (rows.length > bounds.rows) tooLarge = 'rows'
        else if (bytes > bounds.bytes) tooLarge = 'bytes'
        if (tooLarge) rows.length = 0
      }
    },
  )
  if (!ended) throw new Error('Postgres broke off in the middle of an answer.')
  if (tooLarge) return { tooLarge }
  const affected = Number(/\d+$/.exec(tag)?.[0] ?? 0)
  return { outcome: { columns, rows, affected, command: tag.replace(/[ \d]+$/, '') } }
}

async function carryOut(task: PgliteTask): Promise<PgliteResult> {
  try {
    if (task.do === 'query') return await query(task)
    if (task.do === 'login') await login(task.role, task.settings)
    else if (task.do === 'script') await run(task.text)
    else await database.close()
    return { outcome: undefined }
  } catch (error) {
    if (!(error instanceof messages.DatabaseError)) return { fault: String((error as Error).stack ?? error) }
    const { message, code, detail, hint, position, table, column, constraint } = error
    return { error: { message, code, detail, hint, position, table, column, constraint } }
  }
}

// One task at a time: the next one is sent when this one is answered.
parentPort!.on('message', (task: PgliteTask) => {
  void carryOut(task).then((result) => {
    const answer: PgliteAnswer = said.size > 0 ? { ...result, said: [...said] } : result
    said.clear()
    parentPort!.postMessage(answer)
  })
})
parentPort!.postMessage({ outcome: undefined } satisfies PgliteAnswer)
