import type { TaskUpdate } from '@millrace/protocol'
import type { JobEngine } from '../domain/jobs/types.ts'
import type { JobRecord, Scope, Seq } from '../store/ports.ts'
import { messageBytes } from './limits.ts'
import { toTaskUpdate } from './shapes.ts'

/** Bytes of results that may wait for a peer that does not read; later ones are read again when it does. */
const mostWaiting = 1024 * 1024

/** Updates of one message at most. */
const mostUpdates = 500

/**
 * Changes of tasks on their way to a stream: of each task only the latest, so that they never are more than the tasks
 * followed, however slowly the peer reads.
 */
export class TaskUpdates {
  readonly #engine: JobEngine
  readonly #scope: Scope
  /** Undefined: changed, but not kept; to be read again. */
  readonly #waiting = new Map<Seq, JobRecord | undefined>()
  #bytes = 0

  /** @param engine - to read records again. @param scope - where the tasks are. */
  constructor(engine: JobEngine, scope: Scope) {
    this.#engine = engine
    this.#scope = scope
  }

  /** Notes changes. */
  put(records: readonly JobRecord[]): void {
    for (const record of records) {
      const known = this.#waiting.get(record.seq)
      if (known && known.revision >= record.revision) continue
      this.#bytes -= weight(known)
      const kept = this.#bytes < mostWaiting ? record : undefined
      this.#bytes += weight(kept)
      this.#waiting.set(record.seq, kept)
    }
  }

  /** Forgets a task. */
  drop(seq: Seq): void {
    this.#bytes -= weight(this.#waiting.get(seq))
    this.#waiting.delete(seq)
  }

  /** The records for one message; none when nothing waits. */
  async take(): Promise<JobRecord[]> {
    const taken: JobRecord[] = []
    const again: Seq[] = []
    let bytes = 0
    for (const [seq, record] of this.#waiting) {
      if (bytes > messageBytes || taken.length >= mostUpdates || again.length >= 20) break
      this.drop(seq)
      if (record) taken.push(record)
      else again.push(seq)
      bytes += weight(record)
    }
    if (again.length > 0) taken.push(...(await this.#engine.getMany(this.#scope, again)))
    return taken
  }
}

/** Shapes records as updates. */
export function toUpdates(records: readonly JobRecord[]): TaskUpdate[] {
  return records.map(toTaskUpdate)
}

function weight(record: JobRecord | undefined): number {
  return record ? (record.payload?.length ?? 0) + (record.result?.length ?? 0) + 512 : 0
}
