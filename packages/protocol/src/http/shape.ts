declare const described: unique symbol

/**
 * What a message looks like, for {@link toJson} and {@link fromJson}: its fields as one text, and the shapes that it
 * refers to by number. Fields are separated by spaces; each is its name, and after a colon what it holds, unless that is
 * one text:
 *
 * - `s` text · `b` bytes · `z` true or false · `d` a number · `i` a whole number of 32 bits, `u` one without sign · `l`
 *   one of 64 bits · `t` a time · a number: the shape with that position;
 * - then `*` for a list, `%` for a map from texts, `?` for a single value that may be absent;
 * - then `>field` for a payload: the field that holds its content type;
 * - then `@name` for one of several fields of which only one is set.
 *
 * Generated, and written this way because it is the smallest in a browser's bundle.
 */
export interface Shape<T = unknown> extends ReadonlyArray<Shape | EnumShape> {
  /** The fields. The shapes that they refer to stand behind it, from 1 on. */
  readonly 0: string
  readonly [described]?: T
}

/**
 * What the values of an enum are called: the prefix of their full names, then their names in the order of their numbers
 * from 0; `name=5` where a number does not follow the one before.
 */
export type EnumShape = string

/** How one method of the contract is called over HTTP. */
export type HttpRoute<Req = unknown, Res = unknown> = readonly [
  /** `TaskService/SubmitTask`. */
  method: string,
  /** Verb, path template, and what the body is: `POST /v1/queues/{queue}/jobs *`; nothing when there is no body. */
  http: string,
  /** What it is asked. */
  request: Shape<Req>,
  /** What it answers. */
  response: Shape<Res>,
  /**
   * There when the answer is a stream of events: the path of the response's field that numbers an event, `>`, and the
   * request's field that takes the last number seen, as `update.revision>afterRevision`, then `>` and each field that does not
   * count for who goes on; empty when they have no numbers.
   */
  events?: string,
]

/** A route; the second part, when there is one, is another verb and path for it. */
export type HttpBinding = readonly [route: HttpRoute, http?: string]

/** One field of a {@link Shape}, read. */
export interface Field {
  /** Its name in JSON and in the message. */
  readonly name: string
  /** `s`, `b`, `z`, `d`, `i`, `u`, `l`, `t`, `m` (a message) or `e` (an enum). */
  readonly kind: string
  /** `*`, `%` or `?`, as {@link Shape} says. */
  readonly many: string | undefined
  /** The field that holds a payload's content type. */
  readonly companion: string | undefined
  /** The message's field that holds whichever of several is set. */
  readonly oneof: string | undefined
  /** The shape of a message; undefined for other kinds. */
  readonly message: Shape | undefined
  /** The shape of an enum; empty for other kinds. */
  readonly names: EnumShape
}

const parsed = new WeakMap<Shape, readonly Field[]>()

/** The fields of a shape. */
export function fieldsOf(shape: Shape): readonly Field[] {
  let fields = parsed.get(shape)
  if (!fields) {
    const references = shape.slice(1)
    fields = shape[0].split(' ').flatMap((field) => {
      const [, name, code = 's', many, companion, oneof] = /^(\w+)(?::(\w+)([*%?])?(?:>(\w+))?(?:@(\w+))?)?$/.exec(field) ?? []
      if (!name) return []
      const reference = references[Number(code)]
      const [kind, message, names] = typeof reference === 'string' ? ['e', undefined, reference] : [reference ? 'm' : code, reference, '']
      return [{ name, kind, many, companion, oneof, message, names }]
    })
    parsed.set(shape, fields)
  }
  return fields
}
