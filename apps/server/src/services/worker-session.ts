import {
  type ProcessJobsRequest,
  type ProcessJobsRequest_Settle,
  type ProcessJobsRequest_Subscribe,
  type ProcessJobsResponse,
  RevocationReason,
} from '@millrace/protocol'
import { lanesOf } from '../domain/jobs/attested.ts'
import { jobId } from '../domain/jobs/ids.ts'
import { invalid, ServerStopping } from '../errors.ts'
import type { ChangeCause } from '../store/ports.ts'
import type { Call } from './call.ts'
import { Checks } from './checks.ts'
import type { ServiceContext } from './context.ts'
import { Deliveries, type Revoked } from './deliveries.ts'
import { limits } from './limits.ts'
import { defaultName } from './new-jobs.ts'
import { settleBatch } from './settlements.ts'
import { admitWorker, type CheckedProofs, ProofKeeper } from './task-proofs.ts'
import { Wakeup } from './wakeup.ts'

/** Requests whose answers the worker has not read yet; at this many the stream is read no further. */
const mostUnanswered = 256

const reasons: Partial<Record<ChangeCause, RevocationReason>> = {
  cancelled: RevocationReason.CANCELLED,
  timeout: RevocationReason.TIMEOUT,
  'lease-expired': RevocationReason.LEASE_EXPIRED,
}

const noProofs: CheckedProofs = { refused: new Map(), proven: new Set() }

/** One worker's stream: jobs out, settlements in. */
export class WorkerSession {
  readonly #context: ServiceContext
  readonly #call: Call
  readonly #wakeup = new Wakeup()
  readonly #room = new Wakeup()
  #deliveries: Deliveries | undefined
  /** Of an attested worker. */
  #proofs: ProofKeeper | undefined
  #replies: ProcessJobsResponse[] = []
  #revoked: Revoked[] = []
  /** Requests taken in whose answers were not taken out. */
  #unanswered = 0
  #ended = false
  #failure: { readonly error: unknown } | undefined

  /** @param context - what the services stand on. @param call - the call. */
  constructor(context: ServiceContext, call: Call) {
    this.#context = context
    this.#call = call
  }

  /** Runs the stream to its end. */
  async *run(requests: AsyncIterable<ProcessJobsRequest>): AsyncGenerator<ProcessJobsResponse, void, undefined> {
    const { signal } = this.#call
    const wake = () => this.#wakeup.wake()
    signal.addEventListener('abort', wake)
    void this.#read(requests)
    try {
      for (;;) {
        const message = this.#take()
        if (message === 'end') return
        if (message) yield message
        else await this.#wakeup.wait()
      }
    } finally {
      signal.removeEventListener('abort', wake)
      this.#ended = true
      this.#room.wake()
      await this.#deliveries?.close()
    }
  }

  async #read(requests: AsyncIterable<ProcessJobsRequest>): Promise<void> {
    try {
      for await (const { message } of requests) {
        if (this.#ended) return
        this.#deliveries?.alive()
        if (message?.$case === 'subscribe') await this.#subscribe(message.value)
        else if (!this.#deliveries) throw invalid('message', 'must be subscribe in the first request of a stream')
        else if (message?.$case === 'settle') void this.#settle(message.value)
        else if (message?.$case === 'heartbeat') this.#heartbeat(message.value.sequence)
        else throw invalid('message', 'is missing; give one of subscribe, settle, heartbeat')
        while (this.#unanswered >= mostUnanswered && !this.#ended) await this.#room.wait()
      }
      this.#ended = true
    } catch (error) {
      this.#failure ??= { error }
    }
    this.#wakeup.wake()
  }

  #take(): ProcessJobsResponse | 'end' | undefined {
    if (this.#failure) throw this.#failure.error
    const reply = this.#replies.shift()
    if (reply) {
      if (reply.message?.$case !== 'subscribed') this.#unanswered--
      this.#room.wake()
      return reply
    }
    // What was accepted is finished and answered, however the stream ends.
    const { signal } = this.#call
    if (signal.aborted) {
      if (this.#unanswered > 0) return undefined
      if (signal.reason instanceof ServerStopping) return 'end'
      throw signal.reason
    }
    if (this.#revoked.length > 0) {
      const jobs = this.#revoked.map(({ lease, cause }) => ({
        jobId: jobId(lease),
        leaseToken: String(lease.token),
        reason: reasons[cause] ?? RevocationReason.UNSPECIFIED,
      }))
      this.#revoked = []
      return { message: { $case: 'revoked', value: { jobs } } }
    }
    // A worker that has closed its side cannot settle anything over this stream.
    if (this.#ended) return this.#unanswered === 0 ? 'end' : undefined
    const jobs = this.#deliveries?.take() ?? []
    return jobs.length > 0 ? { message: { $case: 'deliveries', value: { jobs } } } : undefined
  }

  async #subscribe(request: ProcessJobsRequest_Subscribe): Promise<void> {
    const checks = new Checks()
    checks.integer('subscribe.maxInFlight', request.maxInFlight, 0, limits.inFlight)
    if (this.#deliveries) {
      checks.done()
      this.#deliveries.setMaxInFlight(request.maxInFlight)
      return
    }
    const queue = checks.nameOr('subscribe.queue', request.queue, defaultName)
    const workerId = checks.nameOr('subscribe.workerId', request.workerId, `worker-${this.#call.requestId}`)
    const leaseMs = checks.lease('subscribe.leaseMs', request.leaseMs)
    checks.count('subscribe.functions', request.functions.length, 0, limits.functions)
    for (const [i, name] of request.functions.entries()) {
      checks.at('subscribe.functions', i)
      checks.name('', name)
    }
    checks.done()
    const names = request.functions.length > 0 ? [...new Set(request.functions)] : ['']
    const attested = request.attestation && (await admitWorker(this.#context, checks, request.attestation))
    if (this.#ended) return
    if (attested) this.#proofs = new ProofKeeper(this.#context, this.#call.scope, attested, workerId)
    this.#reply({ message: { $case: 'subscribed', value: { workerId } } })
    this.#deliveries = new Deliveries({
      engine: this.#context.engine,
      scope: this.#call.scope,
      queue,
      functions: attested ? names.flatMap((name) => (name === '' ? name : lanesOf(name))) : names,
      workerId,
      leaseMs,
      maxInFlight: request.maxInFlight,
      wake: () => this.#wakeup.wake(),
      revoke: (jobs) => {
        this.#revoked.push(...jobs)
        this.#wakeup.wake()
      },
    })
  }

  async #settle({ sequence, settlements }: ProcessJobsRequest_Settle): Promise<void> {
    this.#unanswered++
    try {
      const { refused, proven } = (await this.#proofs?.check(settlements)) ?? noProofs
      const good = refused.size > 0 ? settlements.filter((settlement) => !refused.has(settlement)) : settlements
      const results = await settleBatch(this.#context, this.#call, good, proven)
      const rejected = results.filter((result) => result.error)
      for (const [{ jobId }, error] of refused) rejected.push({ jobId, error, leaseExpiresAt: undefined })
      this.#reply({ message: { $case: 'settled', value: { sequence, rejected } } })
    } catch (error) {
      // Nothing of the batch is durable: the worker learns it from the end of the stream and settles again.
      this.#failure ??= { error }
      this.#wakeup.wake()
    }
  }

  #heartbeat(sequence: number): void {
    this.#unanswered++
    this.#reply({ message: { $case: 'heartbeatAck', value: { sequence } } })
  }

  #reply(response: ProcessJobsResponse): void {
    this.#replies.push(response)
    this.#wakeup.wake()
  }
}
