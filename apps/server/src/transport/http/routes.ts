import type { HttpBinding, HttpRoute } from '@millrace/protocol/http'
import type { ServedMethod } from '../service.ts'

/** A route and what carries it out. */
export interface ServedRoute {
  readonly route: HttpRoute
  readonly method: ServedMethod
  /** `POST`. */
  readonly verb: string
  /** `/v1/tasks/{taskId}`. */
  readonly template: string
  /** `'*'`, a field, or '' when there is no body. */
  readonly body: string
}

/** A route that fits a path, with what the path says. */
export interface Match {
  readonly found: ServedRoute
  /** Values of the template's variables, as they came: percent-encoded. */
  readonly variables: Readonly<Record<string, string>>
}

/** A place in the tree of paths. */
class Place {
  readonly words = new Map<string, Place>()
  any: Place | undefined
  /** Routes that end here, by `:action` and verb; '' is no action. */
  readonly ends = new Map<string, Map<string, ServedRoute>>()
}

/** Finds the route of a request. */
export class Routes {
  readonly #root = new Place()
  /** Every route. */
  readonly all: readonly ServedRoute[]

  /**
   * @param bindings - the routes of the contract.
   * @param methods - what there is to carry them out; routes of other methods are left out.
   */
  constructor(bindings: readonly HttpBinding[], methods: readonly ServedMethod[]) {
    const byPath = new Map(methods.map((method) => [method.path, method]))
    this.all = bindings.flatMap(([route, http = route[1]]) => {
      const method = byPath.get(route[0])
      const [verb = '', template = '', body = ''] = http.split(' ')
      return method ? [{ route, method, verb, template, body }] : []
    })
    for (const route of this.all) this.#add(route)
  }

  /**
   * The route of a request.
   *
   * @param path - the path as it came.
   * @returns the match; the verbs there are when it is another's path; undefined when there is no such path.
   */
  match(verb: string, path: string): Match | readonly string[] | undefined {
    const segments = path.split('/').slice(1)
    const ends = this.#find(this.#root, segments, 0)
    if (!ends) return undefined
    const found = ends.get(verb)
    if (!found) return [...ends.keys()]
    return { found, variables: variablesOf(found.template, segments) }
  }

  #add(route: ServedRoute): void {
    const [path = '', action = ''] = route.template.split(':')
    let place = this.#root
    for (const segment of path.split('/').slice(1)) {
      const word = segment.startsWith('{') ? undefined : segment
      const next = (word === undefined ? place.any : place.words.get(word)) ?? new Place()
      if (word === undefined) place.any = next
      else place.words.set(word, next)
      place = next
    }
    const verbs = place.ends.get(action) ?? new Map<string, ServedRoute>()
    if (verbs.has(route.verb)) throw new Error(`${route.method.path} and ${verbs.get(route.verb)!.method.path} have the same route`)
    place.ends.set(action, verbs.set(route.verb, route))
  }

  /** The routes at the end of a path: words before variables, actions before names with a colon. */
  #find(place: Place, segments: readonly string[], at: number): Map<string, ServedRoute> | undefined {
    const segment = segments[at]!
    if (at === segments.length - 1) {
      const colon = segment.lastIndexOf(':')
      const name = colon < 0 ? segment : segment.slice(0, colon)
      const acted = colon < 0 ? undefined : this.#next(place, name, (next) => next.ends.get(segment.slice(colon + 1)))
      return acted ?? this.#next(place, segment, (next) => next.ends.get(''))
    }
    return this.#next(place, segment, (next) => this.#find(next, segments, at + 1))
  }

  #next<T>(place: Place, segment: string, look: (next: Place) => T | undefined): T | undefined {
    const word = place.words.get(segment)
    return (word && look(word)) ?? (place.any && segment !== '' ? look(place.any) : undefined)
  }
}

function variablesOf(template: string, segments: readonly string[]): Record<string, string> {
  const [path = '', action] = template.split(':')
  const variables: Record<string, string> = {}
  for (const [i, part] of path.split('/').slice(1).entries()) {
    if (!part.startsWith('{')) continue
    const segment = segments[i]!
    const isLast = i === segments.length - 1
    variables[part.slice(1, -1)] = isLast && action !== undefined ? segment.slice(0, -action.length - 1) : segment
  }
  return variables
}
