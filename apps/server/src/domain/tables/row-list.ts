import type { RawRow, RowTaker } from './backend.ts'
import { bare, float, integer, quote, safeLength, type Write } from './value-json.ts'

/** A column of a list of rows. */
export interface ListedColumn {
  readonly name: string
  readonly write: Write
}

/** Characters of JSON. */
const openList = 0x5b
const closeList = 0x5d
const openRow = 0x7b
const closeRow = 0x7d
const comma = 0x2c
const quotes = 0x22
const backslash = 0x5c
const space = 0x20
const digit0 = 0x30
const digit9 = 0x39
const nothing = Buffer.from('null')

/** Room of lists that have ended, for those to come: to make it anew takes the collector a tenth of the time of a large result. */
const spareRoom: Buffer[] = []
const mostSpare = 16
const spareBytes = 64 * 1024

/** Rows as a JSON list that grows with each of them. Most values are copied byte by byte, and never become texts. */
export class RowList implements RowTaker {
  readonly #columns: readonly { readonly key: Uint8Array; readonly write: Write }[]
  /** Bytes of what stands beside the values of a row. */
  readonly #frame: number
  /** Most bytes of what is yet to be written of a row, if all is copied. */
  #room = 0
  #bytes = spareRoom.pop() ?? Buffer.allocUnsafe(spareBytes)
  #length = 0

  constructor(columns: readonly ListedColumn[]) {
    this.#columns = columns.map(({ name, write }, i) => ({ key: Buffer.from(`${i === 0 ? '' : ','}${JSON.stringify(name)}:`), write }))
    this.#frame = this.#columns.reduce((sum, { key }) => sum + key.length, 3)
  }

  // One loop over bytes, with where it writes at hand: twice as fast as one that calls others for each value.
  add({ bytes, at, length }: RawRow): void {
    // Quotes and `null` have room where the row has the four bytes of a value's length.
    this.#room = this.#frame + length
    this.#reserve(this.#room)
    let all = this.#bytes
    let to = this.#length
    const separator = to === 0 ? openList : comma
    all[to++] = separator
    all[to++] = openRow
    let from = at + 2
    for (const { key, write } of this.#columns) {
      for (let i = 0; i < key.length; i++) all[to++] = key[i]!
      const size = bytes.readInt32BE(from)
      from += 4
      const end = from + Math.max(size, 0)
      const begun = to
      let isCopied = true
      if (size < 0) {
        for (let i = 0; i < nothing.length; i++) all[to++] = nothing[i]!
      } else if (write === quote) {
        all[to++] = quotes
        for (let i = from; i < end; i++) {
          const byte = bytes[i]!
          if (byte < space || byte === quotes || byte === backslash) isCopied = false
          all[to++] = byte
        }
        all[to++] = quotes
      } else if (write === bare || (write === integer && size < safeLength) || (write === float && isDigit(bytes[end - 1]!))) {
        for (let i = from; i < end; i++) all[to++] = bytes[i]!
      } else isCopied = false
      if (!isCopied) {
        this.#length = begun
        this.#write(write(bytes.toString('utf8', from, end)))
        all = this.#bytes
        to = this.#length
      }
      from = end
    }
    all[to++] = closeRow
    this.#length = to
  }

  end(): Uint8Array {
    this.#reserve(2)
    if (this.#length === 0) this.#put(openList)
    this.#put(closeList)
    const all = this.#bytes
    // A larger one is given away as it is.
    if (all.length > spareBytes) return all.subarray(0, this.#length)
    if (spareRoom.length < mostSpare) spareRoom.push(all)
    return Buffer.from(all.subarray(0, this.#length))
  }

  #put(byte: number): void {
    this.#bytes[this.#length++] = byte
  }

  #write(text: string): void {
    // A character is three bytes at most.
    this.#reserve(3 * text.length + this.#room)
    this.#length += this.#bytes.write(text, this.#length)
  }

  #reserve(more: number): void {
    const needed = this.#length + more
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, needed))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

function isDigit(byte: number): boolean {
  return byte >= digit0 && byte <= digit9
}
