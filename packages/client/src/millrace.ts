import { type MillraceOptions, UnavailableError } from '@millrace/core'
import { contextOf, MillraceBase, systemClock } from '@millrace/core/adapter'
import { GrpcTransport } from './grpc/grpc-transport.ts'
import { compileGrpcOptions } from './options.ts'
import type { BatchWorkerOptions, QueueWorkerOptions, TaskWorkerOptions } from './worker/types.ts'
import { Worker, type WorkerContext } from './worker/worker.ts'
import { compileWorkerOptions } from './worker/worker-options.ts'

/**
 * A client of a Millrace server, over gRPC. Cheap to make: it connects when it is first used. Make one and keep it.
 *
 * @example
 * ```ts
 * await using mr = new Millrace({ endpoint: 'localhost:50051', apiKey })
 * const task = await mr.tasks.submit({ function: 'greet', payload: { name: 'Ada' } })
 * console.log((await task.wait()).result)
 * ```
 */
export class Millrace extends MillraceBase {
  readonly #context: WorkerContext
  readonly #workers = new Set<Worker>()
  #closed = false

  /** @throws ValidationError naming the option that is wrong. */
  constructor(options: MillraceOptions = {}) {
    const compiled = compileGrpcOptions(options, process.env)
    const transport = new GrpcTransport(compiled)
    super(transport, { ...compiled, loadVerifier: () => import('@millrace/attestation') })
    this.#context = {
      transport,
      client: compiled,
      clock: systemClock,
      resultOf: (pipelineId, stage) => contextOf(this).safe('PipelineService/GetStageResult', { pipelineId, stage }, undefined),
      onStopped: (worker) => this.#workers.delete(worker),
    }
  }

  /**
   * A worker that runs task functions.
   *
   * @typeParam T - the payload of each function.
   */
  worker<T extends object>(options: TaskWorkerOptions<T>): Worker
  /**
   * A worker that handles the jobs of a queue.
   *
   * @typeParam P - the queue's payloads.
   */
  worker<P = unknown>(options: QueueWorkerOptions<P>): Worker
  /**
   * A worker that handles many jobs of a queue at once.
   *
   * @typeParam P - the queue's payloads.
   */
  worker<P = unknown>(options: BatchWorkerOptions<P>): Worker
  worker<T extends object, P>(options: TaskWorkerOptions<T> | QueueWorkerOptions<P> | BatchWorkerOptions<P>): Worker {
    if (this.#closed) throw new UnavailableError({ reason: 'UNAVAILABLE', message: 'This client is closed.' })
    const worker = new Worker(this.#context, compileWorkerOptions(options))
    this.#workers.add(worker)
    return worker
  }

  /** Drains this client's workers, then ends every call and connection. */
  override async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#workers].map((worker) => worker.stop()))
    await super.close()
  }
}
