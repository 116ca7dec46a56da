import type { Entry } from './recorder.ts'

const sector = 512

/** The bytes of a file, which writes and cuts change. */
export class DiskContent {
  #room: Uint8Array
  #length: number

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#room = bytes.slice()
    this.#length = bytes.length
  }

  /** What it holds; changes with it. */
  get bytes(): Uint8Array {
    return this.#room.subarray(0, this.#length)
  }

  /** Carries out a write (W) or a cut (T). */
  apply({ kind, offset, data }: Pick<Entry, 'kind' | 'offset' | 'data'>): void {
    if (kind === 'T') this.#resize(offset)
    else {
      if (offset + data.length > this.#length) this.#resize(offset + data.length)
      this.#room.set(data, offset)
    }
  }

  /** Carries out the first part of a write, or the last, as whole sectors reach a disk. */
  applyTorn(entry: Entry, first: boolean, part: number): void {
    const at = Math.min(sector * Math.floor((part * entry.data.length) / sector), entry.data.length)
    const { kind, offset, data } = entry
    this.apply(first ? { kind, offset, data: data.subarray(0, at) } : { kind, offset: offset + at, data: data.subarray(at) })
  }

  #resize(length: number): void {
    if (length < this.#length) this.#room.fill(0, length, this.#length)
    else if (length > this.#room.length) {
      const larger = new Uint8Array(length * 2)
      larger.set(this.bytes)
      this.#room = larger
    }
    this.#length = length
  }
}
