import {
  type Job,
  type ProcessJobsRequest,
  type ProcessJobsResponse,
  type ProcessJobsRequest_Settle as Settle,
  type Settlement,
  type SettleResult,
  type ProcessJobsRequest_Subscribe as Subscribe,
  WorkerServiceDefinition,
} from '@millrace/protocol'
import { type ErrorDetails, errorCatalogue } from '@millrace/protocol/errors'
import { encodeErrorDetails, grpcDefinition, statusDetailsTrailer } from '@millrace/protocol/grpc'
import { type CallContext, createServer, type Server, ServerError } from 'nice-grpc'

const definition = grpcDefinition(WorkerServiceDefinition)

/** Things that arrive, and those who wait for them. */
class Arrivals<T> {
  readonly all: T[] = []
  #taken = 0
  #waiting: (() => void)[] = []

  push(item: T): void {
    this.all.push(item)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** The next one that was not taken yet. */
  async next(): Promise<T> {
    await this.until(() => this.#taken < this.all.length)
    return this.all[this.#taken++]!
  }

  /** Waits for the first that fits. */
  async find(fits: (item: T) => boolean): Promise<T> {
    await this.until(() => this.all.some(fits))
    return this.all.find(fits)!
  }

  /** Waits until a condition holds, looking at each arrival. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}

/** One worker's stream, as the server sees it. */
export class JobSession {
  readonly subscriptions = new Arrivals<Subscribe>()
  readonly settles = new Arrivals<Settle>()
  readonly settlements = new Arrivals<Settlement>()
  readonly heartbeats = new Arrivals<number>()
  readonly ended: Promise<void>
  readonly metadata: CallContext['metadata']
  /** False: settlements are not answered. */
  answers = true
  /** Jobs that were sent before the server noticed that the worker had ended its side. */
  onTheirWay: Job[] = []
  /** Why a settlement is refused; undefined: it is not. */
  refuse: (settlement: Settlement) => SettleResult['error'] = () => undefined
  #out: ProcessJobsResponse[] = []
  #wake: (() => void) | undefined
  #over = false
  #syncs = 0
  #error: Error | undefined

  constructor(requests: AsyncIterable<ProcessJobsRequest>, context: CallContext) {
    this.metadata = context.metadata
    // As the real one: when the worker ends its side, what was sent before goes out, and nothing more.
    this.ended = this.#read(requests).then(
      () => {
        if (this.onTheirWay.length > 0) this.deliver(...this.onTheirWay)
        this.break()
      },
      () => undefined,
    )
    context.signal.addEventListener('abort', () => this.break())
  }

  send(message: NonNullable<ProcessJobsResponse['message']>): void {
    this.#out.push({ message })
    this.#wake?.()
  }

  deliver(...jobs: Job[]): void {
    this.send({ $case: 'deliveries', value: { jobs } })
  }

  /** Waits until the worker has seen all that was said so far: it settles this job at once. */
  async sync(): Promise<void> {
    const id = `sync_${this.#syncs++}`
    this.deliver(wireJob(id))
    await this.settlements.find((settlement) => settlement.jobId === id)
  }

  /** Settlements of this kind, without those of `sync`. */
  settled(kind: NonNullable<Settlement['action']>['$case']): string[] {
    return this.settlements.all.filter((s) => s.action?.$case === kind && !s.jobId.startsWith('sync_')).map((s) => s.jobId)
  }

  answer(settle: Settle): void {
    const rejected = settle.settlements.flatMap((settlement) => {
      const error = this.refuse(settlement)
      return error ? [{ jobId: settlement.jobId, error, leaseExpiresAt: undefined }] : []
    })
    this.send({ $case: 'settled', value: { sequence: settle.sequence, rejected } })
  }

  /** Ends the stream from the server's side. */
  break(error?: Error): void {
    this.#over = true
    this.#error = error
    this.#wake?.()
  }

  async *responses(): AsyncGenerator<ProcessJobsResponse> {
    for (;;) {
      const next = this.#out.shift()
      if (next) yield next
      else if (this.#over) break
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
    if (this.#error) throw this.#error
  }

  async #read(requests: AsyncIterable<ProcessJobsRequest>): Promise<void> {
    for await (const { message } of requests) {
      if (message?.$case === 'subscribe') {
        if (this.subscriptions.all.length === 0) this.send({ $case: 'subscribed', value: { workerId: message.value.workerId } })
        this.subscriptions.push(message.value)
      } else if (message?.$case === 'settle') {
        this.settles.push(message.value)
        for (const settlement of message.value.settlements) {
          const { action } = settlement
          // Plain bytes, so that tests can compare them.
          if (action?.$case === 'complete') action.value.result = new Uint8Array(action.value.result)
          this.settlements.push(settlement)
        }
        if (this.answers) this.answer(message.value)
      } else if (message?.$case === 'heartbeat') {
        this.heartbeats.push(message.value.sequence)
        if (this.answers) this.send({ $case: 'heartbeatAck', value: { sequence: message.value.sequence } })
      }
    }
  }
}

/** A real gRPC server whose jobs are the test's. */
export class JobServer {
  readonly sessions = new Arrivals<JobSession>()
  /** Refuses streams with this. */
  refusal: ErrorDetails | undefined
  #server: Server | undefined
  #port = 0

  /** Serves; again on the same port after `kill`. */
  async start(): Promise<this> {
    this.#server = createServer()
    this.#server.add(definition, {
      processJobs: (requests, context) => {
        if (this.refusal) {
          context.trailer.set(statusDetailsTrailer, encodeErrorDetails(this.refusal))
          throw new ServerError(errorCatalogue[this.refusal.reason].grpc, this.refusal.message)
        }
        const session = new JobSession(requests, context)
        this.sessions.push(session)
        return session.responses()
      },
    })
    this.#port = await this.#server.listen(`127.0.0.1:${this.#port}`)
    return this
  }

  get endpoint(): string {
    return `127.0.0.1:${this.#port}`
  }

  /** Ends every connection at once. */
  async kill(): Promise<void> {
    this.#server?.forceShutdown()
    this.#server = undefined
  }
}

/** A job as the server sends it. */
export function wireJob(id: string, job: Partial<Job> = {}): Job {
  return {
    jobId: id,
    queue: 'emails',
    function: '',
    payload: new TextEncoder().encode(JSON.stringify({ id })),
    contentType: '',
    headers: { trace: 'x' },
    labels: { env: 'test' },
    priority: 3,
    attempt: 1,
    maxAttempts: 5,
    createdAt: new Date(1000),
    leaseToken: `token of ${id}`,
    leaseExpiresAt: new Date(30_000),
    deadline: undefined,
    stateKey: '',
    state: undefined,
    inputs: [],
    pipelineId: '',
    stage: '',
    teeRequired: false,
    schema: undefined,
    ...job,
  }
}
