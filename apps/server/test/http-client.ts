import { type IncomingMessage, request } from 'node:http'
import { onTestFinished } from 'vitest'

/** One event of a stream. */
export interface ServerEvent {
  readonly id?: string
  readonly event?: string
  readonly data: Record<string, unknown>
}

/** A stream of events, read as it comes. */
export class EventReader implements AsyncIterableIterator<ServerEvent> {
  readonly response: IncomingMessage
  /** Everything that came. */
  text = ''
  readonly #waiting: ServerEvent[] = []
  #rest = ''
  #ended = false
  #wake = () => {}

  constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => this.#take(chunk))
    const end = () => {
      this.#ended = true
      this.#wake()
    }
    response.on('end', end)
    response.on('error', end)
    response.on('close', end)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<ServerEvent, undefined>> {
    for (;;) {
      const event = this.#waiting.shift()
      if (event) return { done: false, value: event }
      if (this.#ended) return { done: true, value: undefined }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** The next event's data; throws when there is none. */
  async data(): Promise<Record<string, unknown>> {
    const { value } = await this.next()
    if (!value) throw new Error('the stream has ended')
    return value.data
  }

  /** Leaves. */
  close(): void {
    this.response.destroy()
  }

  #take(chunk: string): void {
    this.text += chunk
    const blocks = (this.#rest + chunk).split('\n\n')
    this.#rest = blocks.pop()!
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]))
      const data = fields.get('data')
      if (data !== undefined) this.#waiting.push({ id: fields.get('id'), event: fields.get('event'), data: JSON.parse(data) })
    }
    this.#wake()
  }
}

/** Opens a stream of events, closed after the test. */
export function openEvents(url: string, headers: Record<string, string>): Promise<EventReader> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers }, (response) => resolve(new EventReader(response)))
    onTestFinished(() => void sent.destroy())
    sent.on('error', reject)
    sent.end()
  })
}
