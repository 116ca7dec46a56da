/** A JSON Schema: an object of keywords, or yes or no to everything. */
export type Schema = boolean | SchemaObject
/** A schema's keywords. */
export type SchemaObject = Readonly<Record<string, unknown>>

/** Keywords whose value is a schema, a list of schemas, or schemas by name. */
export const applicators = {
  one: [
    'additionalProperties',
    'unevaluatedProperties',
    'items',
    'unevaluatedItems',
    'contains',
    'not',
    'if',
    'then',
    'else',
    'propertyNames',
    'contentSchema',
  ],
  list: ['allOf', 'anyOf', 'oneOf', 'prefixItems'],
  named: ['properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions'],
} as const

const others = [
  ...['type', 'enum', 'const', 'multipleOf', 'maximum', 'exclusiveMaximum', 'minimum', 'exclusiveMinimum', 'maxLength', 'minLength'],
  ...['pattern', 'maxItems', 'minItems', 'uniqueItems', 'maxContains', 'minContains', 'maxProperties', 'minProperties', 'required'],
  ...['dependentRequired', 'title', 'description', 'default', 'deprecated', 'readOnly', 'writeOnly', 'examples', 'format'],
  ...['contentEncoding', 'contentMediaType', '$schema', '$id', '$ref', '$comment'],
]

/** Keywords that a schema may have, beside those that begin with `x-`. */
export const keywords: ReadonlySet<string> = new Set([...Object.values(applicators).flat(), ...others])

/** True for an object. */
export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A path with one more step: `a.b`, `a[0]`, `a["b c"]`. */
export function join(path: string, step: string | number): string {
  if (typeof step === 'number') return `${path}[${step}]`
  return /^[\w$-]+$/.test(step) ? `${path}.${step}` : `${path}[${JSON.stringify(step)}]`
}

/** The schemas right inside of one, each with its keyword and where it is. */
export function* inside(schema: SchemaObject): Iterable<{ readonly value: unknown; readonly steps: readonly (string | number)[] }> {
  for (const key of applicators.one) if (key in schema) yield { value: schema[key], steps: [key] }
  for (const key of applicators.list) {
    const list = schema[key]
    if (Array.isArray(list)) for (const [i, value] of list.entries()) yield { value, steps: [key, i] }
  }
  for (const key of applicators.named) {
    const named = schema[key]
    if (isObject(named)) for (const name of Object.keys(named)) yield { value: named[name], steps: [key, name] }
  }
}

/** What a `$ref` such as `#/$defs/address` names; undefined when there is nothing there. */
export function resolve(root: Schema, ref: string): unknown {
  let at: unknown = root
  if (ref === '#') return at
  for (const part of ref.slice(2).split('/')) {
    let step: string
    try {
      step = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
    } catch {
      return undefined
    }
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined
    at = (at as Record<string, unknown>)[step]
  }
  return at
}

/** Equal for equal values, whatever the order of their properties. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    isObject(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each,
  )
}
