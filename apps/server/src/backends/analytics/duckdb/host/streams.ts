import { Failure } from './failure.ts'
import type { Lease } from './lease.ts'
import type { RowReader } from './row-reader.ts'

interface OpenStream {
  readonly reader: RowReader
  readonly lease: Lease
  /** The end of what reads from it. */
  busy: Promise<unknown>
}

/** Results that are read as they are made. */
export class Streams {
  readonly #open = new Map<number, OpenStream>()
  #last = 0

  /** @returns its number. */
  async add(lease: Lease, reader: RowReader): Promise<number> {
    if (lease.isInterrupted) {
      // Nobody would tell it again.
      await reader.close()
      throw new Failure({ reason: 'UNAVAILABLE', message: 'The query was ended.' })
    }
    const stream = ++this.#last
    this.#open.set(stream, { reader, lease, busy: Promise.resolve() })
    lease.giveUp = () => this.end(stream)
    return stream
  }

  /** Reads from one. */
  async read<T>(stream: number, work: (open: { readonly reader: RowReader; readonly lease: Lease }) => Promise<T>): Promise<T> {
    const open = this.#open.get(stream)
    if (!open) throw new Failure({ reason: 'UNAVAILABLE', message: 'The query was ended.' })
    const reading = open.busy.then(() => work(open))
    open.busy = reading.catch(() => undefined)
    return reading
  }

  /** Ends one, if it is there. */
  async end(stream: number): Promise<void> {
    const open = this.#open.get(stream)
    if (!open) return
    this.#open.delete(stream)
    const { reader, lease } = open
    await lease.interruptUntil(open.busy)
    await reader.close()
    lease.close()
  }
}
