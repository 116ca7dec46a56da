import { EventEmitter } from 'node:events'
import type pg from 'pg'
import type { RawRow, SqlValue } from '../../../domain/tables/backend.ts'

/** What the driver's client has and its types do not say: a connection, which emits the messages that a stream brings. */
interface Wired {
  readonly connection: EventEmitter & { attachListeners(stream: EventEmitter): void }
}

/** Has a client that is yet to connect leave its rows the bytes that came: texts are made of those that somebody asks for. */
export function keepRowsRaw(client: pg.Client): void {
  const { connection } = client as unknown as Wired
  const attachListeners = connection.attachListeners.bind(connection)
  connection.attachListeners = (stream) => {
    const others = new EventEmitter()
    attachListeners(others)
    const cutter = new RowCutter({
      onRow: (row) => connection.emit('dataRow', row),
      onOthers: (bytes) => others.emit('data', bytes),
    })
    stream.on('data', (bytes: Buffer) => cutter.push(bytes))
  }
}

/** The message of a row, as the driver's statements take it. */
export class RowMessage implements RawRow {
  readonly name = 'dataRow'
  readonly bytes: Buffer
  readonly at: number
  readonly length: number

  constructor(bytes: Buffer, at: number, length: number) {
    this.bytes = bytes
    this.at = at
    this.length = length
  }

  /** The texts of its values. */
  get fields(): SqlValue[] {
    const { bytes } = this
    let from = this.at + 2
    return Array.from({ length: bytes.readInt16BE(this.at) }, () => {
      const size = bytes.readInt32BE(from)
      from += 4
      if (size < 0) return null
      from += size
      return bytes.toString('utf8', from - size, from)
    })
  }
}

/** What a message has before its content: its kind, and its length with these four bytes. */
const head = 5
const dataRow = 0x44

/** Cuts what Postgres sends into rows and all other messages. */
export class RowCutter {
  readonly #onRow: (row: RowMessage) => void
  readonly #onOthers: (bytes: Buffer) => void
  /** The beginning of a message whose end is yet to come, the bytes of it that are here, and how many it needs to go on. */
  #begun: Buffer[] = []
  #has = 0
  #needs = 0

  /** @param handlers - called in the order in which it was sent; `onOthers` with one message or several, each whole. */
  constructor({ onRow, onOthers }: { readonly onRow: (row: RowMessage) => void; readonly onOthers: (bytes: Buffer) => void }) {
    this.#onRow = onRow
    this.#onOthers = onOthers
  }

  /** Takes what was sent next. */
  push(sent: Buffer): void {
    let at = 0
    while (this.#has > 0) {
      const part = sent.subarray(at, at + this.#needs - this.#has)
      this.#begun.push(part)
      this.#has += part.length
      at += part.length
      if (this.#has < this.#needs) return
      const message = Buffer.concat(this.#begun)
      this.#begun = []
      this.#has = 0
      this.#cut(message)
    }
    this.#cut(at === 0 ? sent : sent.subarray(at))
  }

  #cut(bytes: Buffer): void {
    let from = 0
    let at = 0
    let needs = head
    while (at + head <= bytes.length) {
      needs = 1 + bytes.readUInt32BE(at + 1)
      if (at + needs > bytes.length) break
      if (bytes[at] === dataRow) {
        if (from < at) this.#onOthers(bytes.subarray(from, at))
        this.#onRow(new RowMessage(bytes, at + head, needs - head))
        from = at + needs
      }
      at += needs
      needs = head
    }
    if (from < at) this.#onOthers(bytes.subarray(from, at))
    if (at === bytes.length) return
    this.#begun = [bytes.subarray(at)]
    this.#has = bytes.length - at
    this.#needs = needs
  }
}
