import type { Clock } from '../../clock.ts'
import { notFound } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'
import type {
  StreamChange,
  StreamCommit,
  StreamCommitOutcome,
  StreamInfo,
  StreamReading,
  StreamStorage,
  StreamWriteOutcome,
  StreamWriteRequest,
} from '../../store/stream-port.ts'
import { Alarm } from '../alarm.ts'
import { Topics } from '../topics.ts'
import { type Membership, Memberships } from './memberships.ts'

/** How often messages past their retention, and those that others replaced, are looked for. */
export const trimEveryMs = 10_000
/** Rows dropped, or messages compacted, in one transaction. */
const chunk = 200

/** Where reading begins. */
export type Start =
  | { readonly at: 'offset'; readonly offset: number }
  | { readonly at: 'time'; readonly time: number }
  | { readonly at: 'committed'; readonly group: string }
  | { readonly at: 'earliest' | 'latest' }

/** Streams as the services use them. What is not said here is said at {@link StreamStorage}. */
export interface StreamEngine {
  write(request: Omit<StreamWriteRequest, 'now'>): Promise<readonly StreamWriteOutcome[]>
  read(
    scope: Scope,
    stream: string,
    partition: number,
    from: { readonly offset: number; readonly maxMessages: number; readonly maxBytes: number },
  ): Promise<StreamReading>
  /** The offset of the first message to read. Rejects as `read`. */
  resolve(scope: Scope, stream: string, partition: number, start: Start): Promise<number>
  /** Calls `wake` when messages were written to a stream, or it was deleted; returns how to stop. */
  follow(scope: Scope, stream: string, wake: () => void): () => void
  /** Wakes those who follow a stream: there is news of it other than messages. */
  wake(scope: Scope, stream: string): void
  /** Joins a group; `wake` is called when its partitions were shared anew. Rejects with NOT_FOUND. */
  join(scope: Scope, stream: string, group: string, wake: () => void): Promise<Membership>
  commit(scope: Scope, stream: string, commits: readonly StreamCommit[]): Promise<readonly StreamCommitOutcome[]>
  committed(scope: Scope, stream: string, group: string): Promise<readonly number[]>
  /** Rejects with NOT_FOUND. */
  describe(scope: Scope, stream: string): Promise<StreamInfo>
  put(scope: Scope, stream: string, change: StreamChange): Promise<StreamInfo>
  list(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly StreamInfo[]>
  /** Rejects with NOT_FOUND. */
  delete(scope: Scope, stream: string): Promise<void>
  /** Ends the timers; resolves when what is under way has ended. */
  close(): Promise<void>
}

/** Makes the engine and starts its timer. */
export function createStreamEngine({
  streams,
  clock,
  onError,
}: {
  readonly streams: StreamStorage
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}): StreamEngine {
  const topics = new Topics()
  const memberships = new Memberships({ streams, clock, onError })
  streams.listen({
    written: (stream) => topics.wake(stream, stream.stream),
    regrouped: (stream, group) => memberships.regrouped(stream, group),
    missed() {
      topics.wakeAll()
      memberships.missed()
    },
  })
  const trimming = new Alarm({
    clock,
    onError,
    async run(closing) {
      while (!closing.aborted && (await streams.expire(clock.now(), chunk)) >= chunk);
      while (!closing.aborted && (await streams.trim(clock.now(), chunk)) >= chunk);
      return clock.now() + trimEveryMs
    },
  })
  trimming.dueAt(clock.now() + trimEveryMs)

  async function describe(scope: Scope, stream: string): Promise<StreamInfo> {
    const info = await streams.describe(scope, stream)
    if (!info) throw notFound('stream', stream)
    return info
  }

  return {
    write: (request) => streams.write({ ...request, now: clock.now() }),
    read: (scope, stream, partition, from) => streams.read(scope, stream, partition, from),

    async resolve(scope, stream, partition, start) {
      if (start.at === 'time') return streams.offsetAt(scope, stream, partition, start.time)
      if (start.at === 'committed') {
        const committed = (await streams.committed(scope, stream, start.group))[partition] ?? -1
        if (committed >= 0) return committed + 1
      }
      // This read tells of a partition that there is not.
      const { latest } = await streams.read(scope, stream, partition, { offset: Number.MAX_SAFE_INTEGER, maxMessages: 1, maxBytes: 1 })
      if (start.at === 'offset') return start.offset
      return start.at === 'latest' ? latest + 1 : (await describe(scope, stream)).partitions[partition]!.earliest
    },

    follow: (scope, stream, wake) => topics.follow(scope, stream, wake),
    wake: (scope, stream) => topics.wake(scope, stream),
    join: (scope, stream, group, wake) => memberships.join(scope, stream, group, wake),
    commit: (scope, stream, commits) => streams.commit(scope, stream, commits, clock.now()),
    committed: (scope, stream, group) => streams.committed(scope, stream, group),
    describe,
    put: (scope, stream, change) => streams.put(scope, stream, change, clock.now()),
    list: (scope, page) => streams.list(scope, page),
    async delete(scope, stream) {
      if (!(await streams.delete(scope, stream))) throw notFound('stream', stream)
    },
    async close() {
      await Promise.all([trimming.close(), memberships.close()])
    },
  }
}
