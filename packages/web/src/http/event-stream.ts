/** One event of a stream of server-sent events. */
export interface ServerEvent {
  /** What kind of event; `message` when the server does not say. */
  readonly type: string
  /** What it carries. */
  readonly data: string
}

/** What whoever reads a stream of events is told of beside the events. */
export interface EventStreamListener {
  /** Something came, be it a sign of life alone. */
  alive(): void
  /** How long to wait before the stream is opened again, in milliseconds. */
  retry(ms: number): void
}

/** Characters of one event at most, as many as the Node client takes bytes in one message. */
const mostCharacters = 64 << 20

/**
 * Reads server-sent events, as fast as they are asked for. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
 *
 * @throws RangeError when an event is larger than anything a server sends.
 */
export async function* readEvents(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  listener: EventStreamListener,
): AsyncGenerator<ServerEvent, void, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  let type = ''
  let data: string[] = []
  let size = 0
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    listener.alive()
    const text = decoder.decode(value, { stream: true })
    const hasEnd = /[\r\n]/.test(text) || rest.endsWith('\r')
    rest += text
    // A long line is looked at once, when its end has come. A carriage return at the end may be half of one.
    const lines = hasEnd ? rest.split(/\r\n|\n|\r(?!$)/) : [rest]
    rest = lines.pop()!
    if (size + rest.length > mostCharacters) throw new RangeError(`An event has more than ${mostCharacters} characters.`)
    for (const line of lines) {
      const colon = `${line}:`.indexOf(':')
      const name = line.slice(0, colon)
      const content = line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
      if (line === '') {
        if (data.length > 0) yield { type: type || 'message', data: data.join('\n') }
        type = ''
        data = []
        size = 0
      } else if (name === 'data') size += data.push(content) && content.length
      else if (name === 'event') type = content
      else if (name === 'retry' && /^\d+$/.test(content)) listener.retry(Number(content))
    }
  }
}
