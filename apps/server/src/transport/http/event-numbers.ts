import { fieldsOf, fromJson, type HttpRoute, type Shape } from '@millrace/protocol/http'
import { MillraceError } from '../../errors.ts'
import type { HttpExchange } from './exchange.ts'

/** How a stream's events are numbered and gone on with. */
export interface EventNumbers {
  /** The number of an event, for `id:`. */
  idOf(message: unknown): string | undefined
  /**
   * Puts the last number a returning reader has seen into its request.
   *
   * @returns true when the reader was here before.
   * @throws VALIDATION
   */
  resume(exchange: HttpExchange, request: object): boolean
}

/**
 * Reads from a route how its events are numbered.
 *
 * @param route - a route that streams.
 */
export function eventNumbers([, , shape, , events = '']: HttpRoute): EventNumbers {
  const [path = '', field = '', ...replaced] = events.split('>')
  const steps = path.split('.')
  const isNumber = fieldsOf(shape).find(({ name }) => name === field)?.kind !== 's'
  const defaults = fromJson<Readonly<Record<string, unknown>>>(shape as Shape<Readonly<Record<string, unknown>>>, {})
  const fresh = Object.fromEntries(replaced.map((name) => [name, defaults[name]]))
  return {
    idOf(message) {
      if (path === '') return undefined
      let value: unknown = message
      for (const step of steps) {
        value = (value as Readonly<Record<string, unknown>> | undefined)?.[step]
        // Of a list, the last one counts.
        if (Array.isArray(value)) value = value.at(-1)
      }
      return value === undefined ? undefined : String(value)
    },
    resume(exchange, request) {
      const last = exchange.header('last-event-id') ?? exchange.query.get('lastEventId') ?? ''
      if (last === '' || field === '') return last !== ''
      const value = isNumber ? Number(last) : last
      if (isNumber && !(/^\d+$/.test(last) && Number.isSafeInteger(value))) {
        const message = `'${last.slice(0, 40)}' is not the id of an event of this stream`
        throw new MillraceError('VALIDATION', `last-event-id: ${message}`, { fields: [{ path: 'last-event-id', message }] })
      }
      // Back to what they are in a request that does not say where to begin.
      Object.assign(request, fresh, { [field]: value })
      return true
    },
  }
}
