import type { StatementSync } from 'node:sqlite'
import type { MillraceError } from '../../errors.ts'
import type { TransactionRequest, TransactionResult, TransactionStorage } from '../transaction-port.ts'
import { recall, refusedFor, remember, transactionKey, unlessRefused } from '../transaction-rules.ts'
import type { Context } from './context.ts'
import type { SqliteJobs } from './jobs.ts'
import type { SqliteKv } from './kv/kv.ts'
import type { SqliteStreams } from './streams/streams.ts'

/** What transactions change. */
interface Parts {
  readonly jobs: SqliteJobs
  readonly kv: SqliteKv
  readonly streams: SqliteStreams
}

/** Transactions: one mutation each, which undoes itself when a part is refused. */
export class SqliteTransactions implements TransactionStorage {
  readonly #context: Context
  readonly #parts: Parts
  readonly #findAnswer: StatementSync
  readonly #insertAnswer: StatementSync

  constructor(context: Context, parts: Parts) {
    this.#context = context
    this.#parts = parts
    this.#findAnswer = context.db.prepare('SELECT answer FROM answers WHERE tenant = ? AND id = ?')
    this.#insertAnswer = context.db.prepare('INSERT INTO answers (tenant, id, answer, created_at) VALUES (?, ?, ?, ?)')
  }

  write(request: TransactionRequest): Promise<TransactionResult> {
    return this.#context.writer.mutate(() => {
      const { scope, requestId, now } = request
      if (requestId === '') return this.#carryOut(request)
      const id = transactionKey(request)
      const known = this.#findAnswer.get(scope.tenant, id)
      if (known) return recall(String(known.answer))
      const result = this.#carryOut(request)
      this.#insertAnswer.run(scope.tenant, id, remember(result), now)
      return result
    })
  }

  #carryOut({ scope, streams, jobs, kv, commits, now }: TransactionRequest): TransactionResult {
    const parts = this.#parts
    const alone = { scope, requestId: '', now }
    return {
      streams: streams.map(({ stream, messages }, i) =>
        part(`streams[${i}]`, 'stream', () => parts.streams.writeInside({ ...alone, stream, batches: [{ messages }] })[0]!),
      ),
      commits: commits.map(({ stream, ...commit }, i) =>
        part(`commits[${i}]`, 'stream', () => parts.streams.commitInside(scope, stream, [commit], now)[0]!, 'member'),
      ),
      kv: kv.map(({ store, write }, i) =>
        part(`kv[${i}]`, 'key', () => parts.kv.writeInside({ ...alone, store, writes: [write], partial: false })[0]!),
      ),
      jobs: jobs.map((job, i) =>
        part(`jobs[${i}]`, 'queue', () => parts.jobs.enqueueInside({ ...alone, jobs: [job], partial: false, batch: false }).outcomes[0]!),
      ),
    }
  }
}

/**
 * Carries out a part; what refuses it refuses them all.
 *
 * @param field - that an error is about which names none.
 * @param refusedField - that a refusal is about which names none.
 */
function part<T extends object>(place: string, field: string, work: () => T | { readonly error: MillraceError }, refusedField = field): T {
  let outcome: T | { readonly error: MillraceError }
  try {
    outcome = work()
  } catch (error) {
    throw refusedFor(place, field, error)
  }
  return unlessRefused(place, refusedField, outcome)
}
