import type { TransactionServiceDefinition, WriteTransactionRequest } from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { jobId } from '../domain/jobs/ids.ts'
import { requireWhole } from '../domain/keys/limited-scope.ts'
import type { Principal } from '../domain/keys/principal.ts'
import { Budget } from '../domain/schemas/budget.ts'
import type { SchemaRegistry } from '../domain/schemas/registry.ts'
import type { TransactionEngine } from '../domain/transactions/engine.ts'
import type { Scope } from '../store/ports.ts'
import type { TransactionRequest } from '../store/transaction-port.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { readWrite } from './kv-checks.ts'
import { limits } from './limits.ts'
import { readNewJob } from './new-jobs.ts'
import { checkCommit, readMessages } from './stream-checks.ts'

/** What the service of transactions stands on. */
export interface TransactionServiceContext {
  readonly transactions: TransactionEngine
  readonly schemas: SchemaRegistry
  readonly clock: Clock
  /** Largest payload or value, in bytes. */
  readonly payloadLimit: number
}

/** Changes of several kinds that happen together or not at all. */
export function createTransactionService(context: TransactionServiceContext): ServiceOf<typeof TransactionServiceDefinition> {
  return {
    async writeTransaction(request, { scope, principal }) {
      requireWhole(scope, 'write transactions')
      requireScopes(principal, request)
      const checks = new Checks()
      checks.text('requestId', request.requestId, limits.requestId)
      checkSize(checks, request)
      checks.done()
      const parts = await readParts(checks, request, scope, context)
      checks.done()
      const { streams, jobs, kv, commits } = await context.transactions.write({ scope, ...parts, requestId: request.requestId })
      return {
        streams: streams.map(({ partitions, offsets }) => ({ partitions: [...partitions], offsets: [...offsets], duplicate: false })),
        jobs: jobs.map(({ seq, created }) => ({ jobId: jobId({ seq, function: '' }), seq, created, error: undefined })),
        kv: kv.map(({ revision, deleted = false, number = 0 }) => ({ revision, deleted, number, error: undefined })),
        committedOffsets: commits.map(({ committed }) => committed),
      }
    },
  }
}

/** Each kind of part needs the scope that its own calls need. */
function requireScopes(principal: Principal, { streams, jobs, kv, commits }: WriteTransactionRequest): void {
  if (streams.length > 0 || commits.length > 0) principal.require('streams:write')
  if (jobs.length > 0) principal.require('queues:write')
  if (kv.length > 0) principal.require('kv:write')
}

function checkSize(checks: Checks, { streams, jobs, kv, commits }: WriteTransactionRequest): void {
  const parts = streams.length + jobs.length + kv.length + commits.length
  if (parts === 0) checks.fail('streams', 'is empty, and so are jobs, kv and commits; a transaction has at least one part')
  if (parts > limits.batch) checks.fail('streams', `has, with jobs, kv and commits, ${parts} parts; at most ${limits.batch} are allowed`)
  const messages = streams.reduce((sum, part) => sum + part.messages.length, 0)
  if (messages > limits.batch) checks.fail('streams', `have ${messages} messages in all; at most ${limits.batch} are allowed`)
}

async function readParts(
  checks: Checks,
  request: WriteTransactionRequest,
  scope: Scope,
  { clock, schemas, payloadLimit }: TransactionServiceContext,
): Promise<Pick<TransactionRequest, 'streams' | 'jobs' | 'kv' | 'commits'>> {
  const now = clock.now()
  const budget = new Budget()
  const streamGuards = await Promise.all(request.streams.map(({ stream }) => schemas.guard(scope, 'stream', stream, budget)))
  const queueGuards = await Promise.all(request.jobs.map(({ queue }) => schemas.guard(scope, 'queue', queue, budget)))
  return {
    streams: request.streams.map(({ stream, messages }, i) => {
      checks.at('streams', i)
      checks.name('stream', stream)
      checks.count('messages', messages.length, 1, limits.batch)
      return { stream, messages: readMessages(checks, `streams[${i}].messages`, messages, payloadLimit, streamGuards[i]) }
    }),
    jobs: request.jobs.flatMap(({ queue, job }, i) => {
      checks.at('jobs', i)
      checks.name('queue', queue)
      if (!job) {
        checks.fail('job', 'is missing')
        return []
      }
      const read = readNewJob(checks, job, queue, now, payloadLimit)
      const guard = queueGuards[i]
      return [guard ? checks.schema(guard, read) : read]
    }),
    kv: request.kv.map(({ store, ...write }, i) => {
      checks.at('kv', i)
      checks.name('store', store)
      return { store, write: readWrite(checks, write, now, payloadLimit) }
    }),
    commits: request.commits.map((commit, i) => {
      checks.at('commits', i)
      checks.name('stream', commit.stream)
      checkCommit(checks, commit)
      return commit
    }),
  }
}
