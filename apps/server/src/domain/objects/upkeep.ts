import type { Clock } from '../../clock.ts'
import type { ObjectStorage } from '../../store/object-port.ts'
import { Alarm } from '../alarm.ts'
import type { ObjectBackend } from './backend.ts'
import { physicalName } from './names.ts'

/** Things seen to in one transaction. */
const chunk = 200
/** When a blob whose deletion failed, or whose server died meanwhile, is deleted again. */
const againMs = 10 * 60_000
/** Longest wait between two looks: another server's writers may have died. */
const longestWaitMs = 10 * 60_000
/** Shortest: what comes together is seen to together. */
const shortestWaitMs = 1000

/** Ends objects and uploads when their time is over, and deletes the bytes that nobody needs. */
export class Upkeep {
  readonly #alarm: Alarm
  readonly #clock: Clock

  constructor({
    objects,
    backend,
    clock,
    onError,
  }: {
    readonly objects: ObjectStorage
    readonly backend: ObjectBackend
    readonly clock: Clock
    readonly onError: (error: unknown) => void
  }) {
    const run = async (closing: AbortSignal) => {
      while (!closing.aborted && (await objects.expire(clock.now(), chunk)) === chunk);
      while (!closing.aborted) {
        const waste = await objects.waste(clock.now(), clock.now() + againMs, chunk)
        if (waste.length === 0) break
        await backend.delete(waste.map((one) => ({ name: physicalName(one, one.blob), whole: one.whole })))
        await objects.forget(waste)
      }
      if (closing.aborted) return undefined
      const due = (await objects.nextDue()) ?? Infinity
      return Math.min(Math.max(due, clock.now() + shortestWaitMs), clock.now() + longestWaitMs)
    }
    this.#clock = clock
    this.#alarm = new Alarm({ clock, onError, run })
    this.dueAt(clock.now())
  }

  /** Something is due at this time. */
  dueAt(time: number): void {
    this.#alarm.dueAt(time)
  }

  /** Something may be due soon. */
  look(): void {
    this.#alarm.dueAt(this.#clock.now() + shortestWaitMs)
  }

  /** Begins nothing more; resolves when what is under way has ended. */
  close(): Promise<void> {
    return this.#alarm.close()
  }
}
