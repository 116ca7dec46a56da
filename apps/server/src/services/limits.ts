const minute = 60_000
const day = 24 * 60 * minute

/** What requests may contain; the same numbers stand in the protocol's comments. */
export const limits = {
  /** Items of one batch. */
  batch: 10_000,
  /** Jobs at work at a time, where they are limited. */
  concurrency: 10_000,
  /** Jobs that start within a window, and its longest length in milliseconds, where that is limited. */
  starts: { count: 10_000, window: 31 * day },
  /** Calls per second of a key that is limited. */
  rate: 1_000_000,
  /** Characters of a schedule's name. */
  scheduleName: 200,
  /** Bytes of the state that a schedule's tasks begin with: it is read with the schedule. */
  scheduleState: 4096,
  /** Shortest interval of a schedule, and longest jitter, in milliseconds. */
  every: 1000,
  jitter: day,
  /** Late ticks that a schedule makes up for. */
  catchUp: 1000,
  /** Stages of one pipeline. */
  stages: 1000,
  /** Ids of one read. */
  ids: 1000,
  /** Functions of one worker. */
  functions: 1000,
  /** Unsettled jobs of one stream. */
  inFlight: 10_000,
  /** Tasks followed over one stream. */
  followed: 100_000,
  /** Items of one page, and how many when the request does not say. */
  page: { max: 1000, default: 100 },
  /** Items of one live list, and how many when the request does not say. */
  liveList: { max: 200, default: 50 },
  /** Jobs of one receive. */
  receive: 1000,
  /** Length of a lease in milliseconds. */
  lease: { min: 1000, max: 12 * 60 * minute, default: 30_000 },
  /** Longest wait of one receive in milliseconds. */
  wait: minute,
  /** Longest attempt in milliseconds. */
  timeout: 7 * day,
  /** Longest delay in milliseconds. */
  delay: 366 * day,
  /** Longest backoff in milliseconds. */
  backoff: 7 * day,
  /** Attempts of one job. */
  attempts: 1000,
  /** Priorities run from minus this to this. */
  priority: 100,
  /** Labels of one job, and characters of one value. */
  labels: { count: 32, value: 255 },
  /** Headers of one job, and bytes of one value. */
  headers: { count: 64, value: 4096 },
  /** Characters of an idempotency key, a content type, a key's name. */
  text: 255,
  /** Characters of a webhook's URL. */
  url: 2048,
  /** Functions, and queues, that a webhook is for. */
  webhookFilter: 100,
  /** Characters of a statement of SQL, and bytes of its parameters. */
  sql: { statement: 1024 * 1024, parameters: 16 * 1024 * 1024 },
  /** Rows of one answer to a query, and how many when the request does not say. */
  rows: { max: 100_000, default: 1000 },
  /** Columns of a table. */
  columns: 1000,
  /** Rows of one answer of a table. */
  tableRows: 10_000,
  /** Characters of a place among the changes of rows. */
  changeCursor: 32_768,
  /** Reads, or writes, of rows in one request. */
  rowCalls: 256,
  /** Rows of a selection that is watched: they are sent again with each change. */
  liveRows: 1000,
  /** Characters of a filter, values of one statement, migrations of one request. */
  filter: 16_384,
  sqlParameters: 1000,
  migrations: 1000,
  /** Different sets of columns that the rows of one insert may have. */
  rowShapes: 100,
  /** Characters of a request's id. */
  requestId: 64,
  /** Characters of the reason of a cancellation. */
  reason: 1024,
  /** Messages of one request with many batches. */
  batchedMessages: 100_000,
  /** Partitions of a stream. */
  partitions: 256,
  /** Bytes of a key in a KV store or a stream. */
  key: 512,
  /** Longest time to live of a key in milliseconds. */
  ttl: 3660 * day,
  /** Versions kept of a key. */
  history: 64,
  /** Bytes of a quote, and of its endorsements. */
  evidence: 64 * 1024,
  /** Bytes of a worker's public key. */
  publicKey: 1024,
  /** Log lines of one settlement. */
  logLines: 1000,
  /** Characters kept of texts that workers send. */
  kept: { error: 16_384, progress: 1024, log: 8192 },
} as const

/**
 * Bytes of payload after which a response message is closed and the next one begun: large enough that its own cost
 * vanishes, small enough that the few messages which the transport buffers for a peer that does not read stay small.
 */
export const messageBytes = 64 * 1024

/** Bytes of payload on one page of a list; the page ends early. Below the 4 MiB that gRPC clients accept by default. */
export const pageBytes = 2 * 1024 * 1024
