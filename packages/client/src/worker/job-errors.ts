/** Thrown by a handler: ends the job as failed, whatever attempts are left. */
export class NonRetryableError extends Error {
  override readonly name = 'NonRetryableError'
}

/** Why a handler shall stop. */
export type RevokedReason = 'cancelled' | 'timeout' | 'lease_lost' | 'stopping'

const messages: Readonly<Record<RevokedReason, string>> = {
  cancelled: 'The job was cancelled.',
  timeout: 'The attempt took longer than the timeout of the job.',
  lease_lost: 'The lease of the job is lost: it was not renewed in time, and another worker may have the job.',
  stopping: 'The worker stops and gives the job back.',
}

/** The reason of `ctx.signal`: the job is this worker's no longer, and whatever the handler returns is dropped. */
export class JobRevokedError extends Error {
  override readonly name = 'JobRevokedError'
  /** Why. */
  readonly why: RevokedReason

  constructor(why: RevokedReason) {
    super(messages[why])
    this.why = why
  }
}
