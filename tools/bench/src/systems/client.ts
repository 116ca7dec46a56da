/** What travels in a job. */
export interface Payload {
  /** Which one it is: lets a run prove that it saw each job once. */
  readonly i: number
  readonly data: string
}

/** How many jobs a system says a queue has. */
export interface QueueCounts {
  readonly waiting: number
  readonly completed: number
  readonly total: number
}

/** Something that runs until it is stopped. */
export interface Running {
  stop(): Promise<void>
}

/** A worker that runs until it is stopped. */
export interface Worker extends Running {
  /** Of a system that does not tell when it has acknowledged a completion: settles when no job is left. */
  settled?(): Promise<void>
}

/** What is measured of a system, on its own client at its best. One per driver process. */
export interface SystemClient {
  /** Settles when the job is durable. */
  enqueue(queue: string, payload: Payload): Promise<unknown>
  enqueueBatch(queue: string, payloads: readonly Payload[]): Promise<unknown>
  counts(queue: string): Promise<QueueCounts>
  /** One worker; `completed` is called when the system has acknowledged a completion. */
  work(queue: string, options: { concurrency: number; handle: (payload: Payload) => void; completed: () => void }): Promise<Worker>
  /** A worker that answers with what it got, and a call that submits and waits for the answer. */
  echo(queue: string, concurrency: number): Promise<Running & { call(payload: Payload): Promise<Payload> }>
  /** Takes up to `max` jobs under a lease; `complete` ends them. Only where claims are compared. */
  receive?(queue: string, max: number): Promise<{ readonly count: number; complete(): Promise<void> }>
  close(): Promise<void>
}
