import type { DurableReading } from '../../../domain/streams/durable.ts'
import { bodyOf, isJson, mediaType } from '../../../domain/streams/durable-content.ts'
import { Wakeup } from '../../../services/wakeup.ts'
import type { StreamState } from '../../../store/stream-port.ts'
import type { EventStreams } from '../event-streams.ts'
import { nextCursor, offsetText } from './offsets.ts'
import type { Reader, Reading } from './reading.ts'

/** How long one answer lasts, in milliseconds; its reader comes again, perhaps by way of another server. */
const lifeMs = 60_000

/** Streams what there is and what comes, as events: data, and after each the control that says where its reader is. */
export async function sendEvents({ durable, engine, clock }: Reading, open: EventStreams, reader: Reader): Promise<void> {
  const { exchange, call, name, cursor, state: first } = reader
  const { response } = exchange
  const type = mediaType(first.contentType)
  const isText = isJson(first.contentType) || type.startsWith('text/')
  let position = reader.from === 'now' ? first.next : reader.from
  const wakeup = new Wakeup()
  const stop = engine.follow(call.scope, name, () => wakeup.wake())
  let isOver = false
  const end = () => {
    isOver = true
    wakeup.wake()
  }
  const cancel = clock.timer(lifeMs, end)
  call.signal.addEventListener('abort', end)
  if (!isText) response.setHeader('stream-sse-data-encoding', 'base64')
  exchange.isStream = true
  const stream = open.begin(response, 'no-cache')
  try {
    for (let isFirst = true; !isOver && !call.signal.aborted; isFirst = false) {
      const state = await durable.state(call.scope, name, first.number)
      const found = await durable.read(call.scope, name, position)
      const isEnd = state.closed && found.upToDate && found.next >= state.next
      if (isFirst || found.messages.length > 0 || isEnd) {
        const control = isEnd
          ? { streamClosed: true }
          : { streamCursor: nextCursor(clock.now(), cursor), upToDate: found.upToDate || undefined }
        response.write(
          dataEvent(state, found, isText) + event('control', JSON.stringify({ streamNextOffset: offsetText(found.next), ...control })),
        )
        if (response.writableNeedDrain) await stream.taken()
      }
      position = found.next
      if (isEnd) break
      if (found.upToDate) await wakeup.wait()
      await durable.use(call.scope, name, state)
    }
    response.end()
  } catch {
    // Its status was sent: who comes again hears what is wrong.
    response.end()
  } finally {
    cancel()
    stop()
    call.signal.removeEventListener('abort', end)
    open.forget(stream)
  }
}

function dataEvent({ contentType }: StreamState, { messages }: DurableReading, isText: boolean): string {
  return messages.length === 0 ? '' : event('data', bodyOf(contentType, messages).toString(isText ? 'utf8' : 'base64'))
}

/** Each line of the data is a line of the event, so that no data ends it. */
function event(name: string, data: string): string {
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data:${line}\n`)
  return `event: ${name}\n${lines.join('')}\n`
}
