import type { Payload } from '../systems/client.ts'

/** A system that keeps streams of messages, and keys with values; its client is the one its users use. */
export interface DataSystem extends AsyncDisposable {
  readonly title: string
  /** Writes a message to a stream; resolves when the system says it is kept. */
  write(stream: string, payload: Payload): Promise<unknown>
  /** Writes messages to a stream with one call, or what comes closest. */
  writeMany(stream: string, payloads: readonly Payload[]): Promise<unknown>
  /** Messages of a stream: from its beginning, or those to come; resolves when it is subscribed. */
  subscribe(stream: string, from: 'beginning' | 'now', handle: (payload: Payload) => void): Promise<AsyncDisposable>
  set(key: string, value: Payload): Promise<unknown>
  get(key: string): Promise<unknown>
  /** Writes a message, sets a key and adds a job to a queue, all or none. Absent: the system cannot. */
  transact?(stream: string, key: string, payload: Payload): Promise<unknown>
}
