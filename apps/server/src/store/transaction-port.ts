import type { KvWrite, Revision } from './kv-port.ts'
import type { NewJob, Scope, Seq } from './ports.ts'
import type { NewStreamMessage, StreamCommit } from './stream-port.ts'

/** Changes that happen together or not at all. */
export interface TransactionRequest {
  readonly scope: Scope
  readonly streams: readonly { readonly stream: string; readonly messages: readonly NewStreamMessage[] }[]
  readonly jobs: readonly NewJob[]
  /** Carried out in this order. */
  readonly kv: readonly { readonly store: string; readonly write: KvWrite }[]
  readonly commits: readonly (StreamCommit & { readonly stream: string })[]
  /** A repeat within the retention of answers answers as the first did. '' means none. */
  readonly requestId: string
  readonly now: number
}

/** What became of each part, in the order of the request. */
export interface TransactionResult {
  readonly streams: readonly { readonly partitions: readonly number[]; readonly offsets: readonly number[] }[]
  readonly jobs: readonly { readonly seq: Seq; readonly created: boolean }[]
  readonly kv: readonly { readonly revision: Revision; readonly deleted?: boolean; readonly number?: number }[]
  readonly commits: readonly { readonly committed: number }[]
}

/** Changes of streams, jobs, keys and groups in one transaction of the storage. */
export interface TransactionStorage {
  /** Rejects with the refusal of a part, whose place is in front of the message and of the paths of its fields; then nothing has changed. */
  write(request: TransactionRequest): Promise<TransactionResult>
}
