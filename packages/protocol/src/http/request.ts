import type { HttpRoute } from './shape.ts'
import { type JsonObject, toJson } from './to-json.ts'

/** A call as HTTP carries it. */
export interface HttpRequest {
  /** The verb: `POST`. */
  readonly verb: string
  /** Path and query: `/v1/tasks?limit=10`. */
  readonly path: string
  /** What to send as JSON; undefined when the call has no body. */
  readonly body: unknown
}

/**
 * Writes a call as HTTP carries it.
 *
 * @param route - the method.
 * @param message - a complete request message.
 * @throws RangeError when a name is `.` or `..`, which URLs do not keep.
 */
export function toHttpRequest<Req>(route: HttpRoute<Req>, message: Req): HttpRequest {
  const [verb = '', template = '', bodyField] = route[1].split(' ')
  const rest = toJson(route[2], message, { sparse: true })
  const take = (name: string): unknown => {
    const value = rest[name]
    delete rest[name]
    return value
  }
  // The sparse form has no zeros; a path has.
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) =>
    pathSegment(name, String(take(name) ?? (message as JsonObject)[name] ?? '')),
  )
  if (bodyField === '*') return { verb, path, body: rest }
  const body = bodyField && (take(bodyField) ?? {})
  const query = new URLSearchParams(toQuery(rest, '')).toString()
  return { verb, path: query ? `${path}?${query}` : path, body }
}

/** A value as a path has it: empty ones are `-`, so that no segment is empty. */
function pathSegment(name: string, value: string): string {
  if (value === '.' || value === '..') throw new RangeError(`${name}: '${value}' cannot be part of a URL`)
  return value === '' ? '-' : value === '-' ? '%2D' : encodeURIComponent(value)
}

function toQuery(json: JsonObject, prefix: string): [string, string][] {
  return Object.entries(json).flatMap(([name, value]) =>
    Array.isArray(value)
      ? value.map((item): [string, string] => [prefix + name, String(item)])
      : value instanceof Object
        ? toQuery(value as JsonObject, `${prefix}${name}.`)
        : [[prefix + name, String(value)]],
  )
}
