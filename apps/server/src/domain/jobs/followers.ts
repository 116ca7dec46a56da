import { type JobChange, type JobRecord, JobState, type Scope, type Seq, type Store } from '../../store/ports.ts'
import type { Follower } from './types.ts'

/** One job that one follower follows. */
interface Watch {
  readonly follower: FollowerState
  readonly terminalOnly: boolean
  /** Tell of changes that are not a new revision too: lines of the log. */
  readonly withLog: boolean
  /** The revision delivered last. */
  revision: number
}

interface FollowerState {
  readonly scope: Scope
  readonly deliver: (records: readonly JobRecord[]) => void
  readonly watches: Map<Seq, Watch>
}

/** True for states a job does not leave by itself. */
export function isTerminal(state: JobState): boolean {
  return state >= JobState.completed
}

/** Tells followers of changed jobs. A change costs nothing when nobody follows the job. */
export class Followers {
  readonly #store: Store
  readonly #onError: (error: unknown) => void
  readonly #watches = new Map<Seq, Set<Watch>>()

  /** @param onError - told when a changed job could not be read. */
  constructor(store: Store, onError: (error: unknown) => void) {
    this.#store = store
    this.#onError = onError
  }

  follow(scope: Scope, deliver: (records: readonly JobRecord[]) => void): Follower {
    const follower: FollowerState = { scope, deliver, watches: new Map() }
    return {
      add: async (seq, { terminalOnly = false, afterRevision = 0, withLog = false } = {}) => {
        const known = follower.watches.get(seq)
        if (known) this.#remove(known, seq)
        const watch: Watch = { follower, terminalOnly, withLog, revision: afterRevision }
        follower.watches.set(seq, watch)
        this.#watchersOf(seq).add(watch)
        const [record] = await this.#store.jobs.getMany(scope, [seq])
        if (!record) this.#remove(watch, seq)
        else this.#tell(follower, [record])
        return record !== undefined
      },
      remove: (seq) => {
        const watch = follower.watches.get(seq)
        if (watch) this.#remove(watch, seq)
      },
      close: () => {
        for (const [seq, watch] of follower.watches) this.#remove(watch, seq)
      },
    }
  }

  changed(changes: readonly JobChange[]): void {
    if (this.#watches.size === 0) return
    const concerned = new Map<FollowerState, Set<Seq>>()
    for (const { seq, state } of changes) {
      for (const watch of this.#watches.get(seq) ?? []) {
        if (watch.terminalOnly && !isTerminal(state)) continue
        const seqs = concerned.get(watch.follower)
        if (seqs) seqs.add(seq)
        else concerned.set(watch.follower, new Set([seq]))
      }
    }
    for (const [follower, seqs] of concerned) this.#read(follower, [...seqs])
  }

  /** Changes may have gone unseen. */
  lookAgain(): void {
    const followers = new Set<FollowerState>()
    for (const watches of this.#watches.values()) for (const { follower } of watches) followers.add(follower)
    for (const follower of followers) this.#read(follower, [...follower.watches.keys()])
  }

  #read(follower: FollowerState, seqs: readonly Seq[]): void {
    this.#store.jobs.getMany(follower.scope, seqs).then((records) => this.#tell(follower, records), this.#onError)
  }

  #tell(follower: FollowerState, records: readonly JobRecord[]): void {
    const news = records.filter((record) => {
      const watch = follower.watches.get(record.seq)
      if (!watch || (record.revision <= watch.revision && !watch.withLog)) return false
      watch.revision = record.revision
      if (isTerminal(record.state)) this.#remove(watch, record.seq)
      return isTerminal(record.state) || !watch.terminalOnly
    })
    if (news.length > 0) follower.deliver(news)
  }

  #watchersOf(seq: Seq): Set<Watch> {
    const known = this.#watches.get(seq)
    if (known) return known
    const watchers = new Set<Watch>()
    this.#watches.set(seq, watchers)
    return watchers
  }

  #remove(watch: Watch, seq: Seq): void {
    const { follower } = watch
    if (follower.watches.get(seq) === watch) follower.watches.delete(seq)
    const watchers = this.#watches.get(seq)
    watchers?.delete(watch)
    if (watchers?.size === 0) this.#watches.delete(seq)
  }
}
