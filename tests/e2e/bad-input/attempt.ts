/** Things of one tenant that another one tries to reach. */
export interface Loot {
  readonly queue: string
  /** A job that waits. */
  readonly jobId: string
  /** A job in hand. */
  readonly heldJobId: string
  readonly leaseToken: string
  /** A failed job. */
  readonly deadJobId: string
  /** A task that waits. */
  readonly taskId: string
  /** A pipeline that runs. */
  readonly pipelineId: string
  /** A state. */
  readonly stateKey: string
  /** A schedule. */
  readonly schedule: string
  readonly keyId: string
  /** A KV store with a key, and a stream with a message, of the same name. */
  readonly store: string
  /** A collection of vectors with an item. */
  readonly collection: string
  /** A delivery of a webhook of the store's name. */
  readonly deliveryId: string
  /** An upload in a bucket of the store's name, which has an object of that name. */
  readonly uploadId: string
}

/** How to try one RPC on somebody else's things. */
export interface Attempt {
  /** The scope it needs; undefined: any valid key. */
  readonly scope?: `${string}:${string}` | 'workers' | 'admin'
  /** The request; of a stream, the first message. */
  request(loot: Loot): object
  /**
   * What a stranger must get: the name of a status, or an answer that shows nothing. A stream of jobs must stay silent.
   */
  readonly stranger: 'NOT_FOUND' | 'silence' | Readonly<Record<string, unknown>>
}
