import type { Clock } from '../../clock.ts'
import type { TransactionRequest, TransactionResult, TransactionStorage } from '../../store/transaction-port.ts'
import type { JobEngine } from '../jobs/types.ts'
import type { KvEngine } from '../kv/engine.ts'

/** Transactions as the services use them. What is not said here is said at {@link TransactionStorage}. */
export interface TransactionEngine {
  write(request: Omit<TransactionRequest, 'now'>): Promise<TransactionResult>
}

/** Makes the engine. The storage tells of what was written; what waits for its time, the engines of jobs and keys are told of here. */
export function createTransactionEngine({
  transactions,
  jobs,
  kv,
  clock,
}: {
  readonly transactions: TransactionStorage
  readonly jobs: Pick<JobEngine, 'added'>
  readonly kv: Pick<KvEngine, 'written'>
  readonly clock: Clock
}): TransactionEngine {
  return {
    async write(request) {
      const result = await transactions.write({ ...request, now: clock.now() })
      jobs.added(request.scope, request.jobs)
      kv.written(request.kv.map(({ write }) => write))
      return result
    },
  }
}
