import { MillraceError } from '../../errors.ts'
import type { KvWriteRequest } from '../kv-port.ts'
import type { StreamWriteRequest } from '../stream-port.ts'
import type { TransactionRequest, TransactionResult, TransactionStorage } from '../transaction-port.ts'
import { recall, refusedFor, remember, transactionKey, unlessRefused } from '../transaction-rules.ts'
import { storable } from './arrays.ts'
import type { Context } from './context.ts'
import type { Transaction } from './database.ts'
import { violatedConstraint } from './errors.ts'
import { type FlowWork, withFlow } from './flow.ts'
import type { PostgresKv } from './kv/kv.ts'
import { Pipeline } from './pipeline.ts'
import { commitOffsets } from './streams/commits.ts'
import type { PostgresStreams } from './streams/streams.ts'
import { addTriggered } from './triggers.ts'

/** How often one is begun anew when others came first with its idempotency keys. */
const attempts = 5

const claim = `INSERT INTO millrace.answers (tenant, id, answer, created_at) VALUES ($1, $2, '', $3) ON CONFLICT DO NOTHING RETURNING 1`
const find = 'SELECT answer FROM millrace.answers WHERE tenant = $1 AND id = $2'
const answer = 'UPDATE millrace.answers SET answer = $3 WHERE tenant = $1 AND id = $2'

/** A transaction that was carried out, and how to tell of it once it is committed. */
interface Done {
  readonly result: TransactionResult
  tell(): void
}

/**
 * Transactions, each one of the database. All lock in one order, so that none waits for another in a circle: streams,
 * offsets, stores, then what jobs need.
 */
export class PostgresTransactions implements TransactionStorage {
  readonly #context: Context
  readonly #kv: PostgresKv
  readonly #streams: PostgresStreams
  /** Few at a time: each keeps a connection, and may need another to make a queue. */
  readonly #pipeline = new Pipeline<TransactionRequest, TransactionResult>({
    run: async ([first]) => first!.resolve(await this.#write(first!.request)),
    weigh: () => 1,
    most: 1,
    width: 2,
  })

  constructor(context: Context, { kv, streams }: { readonly kv: PostgresKv; readonly streams: PostgresStreams }) {
    this.#context = context
    this.#kv = kv
    this.#streams = streams
  }

  write(request: TransactionRequest): Promise<TransactionResult> {
    return this.#pipeline.add(request)
  }

  close(): Promise<void> {
    return this.#pipeline.close()
  }

  async #write(request: TransactionRequest): Promise<TransactionResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { result, tell } = await withFlow(this.#context, (flow, transaction) => this.#once(flow, transaction, request))
        tell()
        return result
      } catch (error) {
        if (violatedConstraint(error) === undefined) throw error
        if (attempt < attempts) continue
        throw new MillraceError('UNAVAILABLE', 'Others use the same idempotency keys at the same time: try again.', { retryAfterMs: 100 })
      }
    }
  }

  /** A request that was carried out before is answered. Who repeats it while it is under way waits for its end. */
  async #once(flow: FlowWork, transaction: Transaction, request: TransactionRequest): Promise<Done> {
    if (request.requestId === '') return this.#carryOut(flow, transaction, request)
    const id = [request.scope.tenant, storable(transactionKey(request))] as const
    const claimed = await transaction.query(claim, [...id, request.now])
    if (claimed.length === 0) {
      const [known] = await transaction.query<{ answer: string }>(find, id)
      if (!known) throw new MillraceError('UNAVAILABLE', 'The first answer to this request was just forgotten: try again.')
      return { result: recall(known.answer), tell: () => undefined }
    }
    const done = await this.#carryOut(flow, transaction, request)
    await transaction.query(answer, [...id, remember(done.result)])
    return done
  }

  async #carryOut(flow: FlowWork, transaction: Transaction, request: TransactionRequest): Promise<Done> {
    const { scope, now } = request
    const alone = { scope, requestId: '', now }

    const writes = request.streams.map(({ stream, messages }): StreamWriteRequest => ({ ...alone, stream, batches: [{ messages }] }))
    const written = writes.length > 0 ? await this.#streams.writer.apply(transaction, writes) : []
    const streams = written.map(([outcome], i) => unlessRefused(`streams[${i}]`, 'stream', outcome!))

    const commits = await this.#commit(transaction, request)

    const tasks = request.kv.map(({ store, write }): KvWriteRequest => ({ ...alone, store, writes: [write], partial: true }))
    const { results } = tasks.length > 0 ? await this.#kv.writer.apply(transaction, tasks) : { results: [] }
    const kv = results.map((result, i) => {
      if ('error' in result) throw refusedFor(`kv[${i}]`, 'key', result.error)
      return unlessRefused(`kv[${i}]`, 'key', result.outcomes[0]!)
    })

    const added =
      request.jobs.length === 0
        ? { outcomes: [] }
        : await addTriggered(this.#context, flow, { ...alone, jobs: request.jobs, partial: true, batch: false })
    const jobs = added.outcomes.map((outcome, i) => unlessRefused(`jobs[${i}]`, 'queue', outcome))

    const tell = () => {
      this.#streams.writer.tell(writes)
      this.#kv.writer.tell(tasks)
    }
    return { result: { streams, jobs, kv, commits }, tell }
  }

  async #commit(transaction: Transaction, { scope, commits, now }: TransactionRequest): Promise<TransactionResult['commits']> {
    const committed: { readonly committed: number }[] = []
    const order = commits.map((commit, i) => ({ ...commit, i })).sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
    for (const { i, stream, ...commit } of order) {
      const place = `commits[${i}]`
      const [outcome] = await commitOffsets(transaction, scope, stream, [commit], now).catch((error: unknown) => {
        throw refusedFor(place, 'stream', error)
      })
      committed[i] = unlessRefused(place, 'member', outcome!)
    }
    return committed
  }
}

function placeOf({ stream, group, partition }: { readonly stream: string; readonly group: string; readonly partition: number }): string {
  return `${stream} ${group} ${String(partition).padStart(3)}`
}
