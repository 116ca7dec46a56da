/** Most of some things that a tenant may have. SQLite keeps their settings in memory, Postgres those of queues. */
export const mostOf = { queues: 10_000, streams: 10_000, kv_stores: 10_000, buckets: 10_000 } as const

/** What a tenant may have of something, and has. */
export interface QuotaUse {
  /** What: the same as in the error when there are too many. */
  readonly type: keyof typeof mostOf
  readonly used: number
  readonly limit: number
}
