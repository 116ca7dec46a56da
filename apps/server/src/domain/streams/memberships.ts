import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import type { Scope } from '../../store/ports.ts'
import type { StreamName, StreamStorage } from '../../store/stream-port.ts'
import { Alarm } from '../alarm.ts'
import { Topics } from '../topics.ts'

/** After this time without a sign of life a member's partitions go to the others. */
const sessionMs = 10_000
/** How often members give one, and others are looked after. */
const beatMs = 3000

/** A membership of a group. */
export interface Membership {
  /** Names it; never used again. */
  readonly id: string
  /** The partitions that are its share now, in order. Rejects with NOT_FOUND when the stream is gone. */
  partitions(): Promise<number[]>
  /** Ends it. */
  close(): Promise<void>
}

/** Members of groups on this server: gives signs of life for them, and ends those of servers that give none. */
export class Memberships {
  readonly #streams: StreamStorage
  readonly #clock: Clock
  readonly #beats = new Set<() => Promise<void>>()
  readonly #topics = new Topics()
  readonly #beating: Alarm

  constructor({ streams, clock, onError }: { streams: StreamStorage; clock: Clock; onError: (error: unknown) => void }) {
    this.#streams = streams
    this.#clock = clock
    this.#beating = new Alarm({
      clock,
      onError,
      run: async () => {
        await Promise.all([...this.#beats].map((beat) => beat().catch(onError)))
        await streams.expireMembers(clock.now(), 100)
        return this.#beats.size > 0 ? clock.now() + beatMs : undefined
      },
    })
  }

  /** A group's partitions were shared anew. */
  regrouped(stream: StreamName, group: string): void {
    this.#topics.wake(stream, `${stream.stream} ${group}`)
  }

  /** All may have been. */
  missed(): void {
    this.#topics.wakeAll()
  }

  /** Joins a group. `wake` is called when its partitions were shared anew. Rejects with NOT_FOUND. */
  async join(scope: Scope, stream: string, group: string, wake: () => void): Promise<Membership> {
    const id = randomBytes(12).toString('base64url')
    let beating = Promise.resolve()
    const beat = () => {
      beating = this.#streams.join(scope, stream, group, id, this.#clock.now() + sessionMs)
      return beating
    }
    const stop = this.#topics.follow(scope, `${stream} ${group}`, wake)
    try {
      await beat()
    } catch (error) {
      stop()
      throw error
    }
    this.#beats.add(beat)
    this.#beating.dueAt(this.#clock.now() + beatMs)
    return {
      id,
      partitions: async () => {
        const owners = await this.#streams.owners(scope, stream, group)
        return owners.flatMap((owner, partition) => (owner === id ? [partition] : []))
      },
      close: async () => {
        stop()
        this.#beats.delete(beat)
        // A sign of life that arrives later would be that of a new member, which nobody is.
        await beating.catch(() => undefined)
        await this.#streams.leave(scope, stream, group, id)
      },
    }
  }

  /** Gives no more signs of life; resolves when none is under way. */
  close(): Promise<void> {
    return this.#beating.close()
  }
}
