import { isDeepStrictEqual } from 'node:util'
import type { Compatibility } from '../../store/schema-port.ts'
import { compilePattern } from './pattern.ts'
import type { FieldProblem } from './problems.ts'
import { canonical, isObject, join, resolve, type Schema, type SchemaObject } from './walk.ts'

/** Problems told of one version. */
const mostProblems = 16
/** Pairs of schemas compared at most: alternatives are tried each with each. */
const mostPairs = 10_000

/**
 * Why a new version may not follow the one before, by paths in its definition; empty when it may.
 *
 * Backward: all that fits the version before has to fit the new one; forward: the other way round. That is decided keyword by
 * keyword for those that most schemas consist of; the others (`oneOf`, `not`, `if`, `pattern`, …) must be the same in both, or
 * absent in the version that has to take more. A property that a version does not name is taken not to be used, unless
 * `additionalProperties` says something of it: so an optional property may be added.
 *
 * @param number - that of the version before.
 */
export function incompatibilities(rule: Compatibility, before: SchemaObject, number: number, after: SchemaObject): readonly FieldProblem[] {
  const old = { root: before, name: `version ${number}` }
  const young = { root: after, name: 'this one' }
  const problems: FieldProblem[] = []
  const tell = (kind: string) => (path: string, message: string) => {
    if (problems.length < mostProblems) problems.push({ path, message: `${message} (not ${kind} compatible)` })
  }
  try {
    if (rule === 'backward' || rule === 'full') new Comparison(old, young).check(before, after, 'definition', tell('backward'))
    if (rule === 'forward' || rule === 'full') new Comparison(young, old).check(after, before, 'definition', tell('forward'))
  } catch (error) {
    // The stack: circles of different lengths have many pairs, one inside the other.
    if (!(error instanceof RangeError)) throw error
    tell(rule)('definition', 'refers to itself in circles that are too long to be compared')
  }
  return problems
}

/** A version, and how messages call it. */
interface Side {
  readonly root: SchemaObject
  readonly name: string
}

type Fail = (path: string, message: string) => void
type Seen = Map<Schema, Set<Schema>>

/** Keywords that say how large something may at least be, or at most. */
const lowerBounds = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties']
const upperBounds = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties']
/** Keywords that have to be the same, but for what references lead to. */
const opaque = [
  ...[
    'pattern',
    'allOf',
    'oneOf',
    'not',
    'if',
    'then',
    'else',
    'patternProperties',
    'propertyNames',
    'dependentSchemas',
    'dependentRequired',
  ],
  ...['contains', 'minContains', 'maxContains', 'unevaluatedProperties', 'unevaluatedItems', '$ref'],
]
/** Keywords that decide, beside `properties`, what is left for those that begin with `unevaluated`. */
const inPlace = ['allOf', 'oneOf', 'if', 'then', 'else', 'dependentSchemas', '$ref']
const evaluating: Readonly<Record<string, readonly string[]>> = {
  unevaluatedProperties: ['patternProperties', 'additionalProperties', ...inPlace],
  unevaluatedItems: ['prefixItems', 'items', 'contains', ...inPlace],
}
/** What `true` is as an object: one, so that comparing it in a circle ends. */
const anything: SchemaObject = {}
/** Keywords that allow and refuse nothing. */
const annotations: ReadonlySet<string> = new Set([
  ...[
    'title',
    'description',
    'default',
    'deprecated',
    'readOnly',
    'writeOnly',
    'examples',
    'format',
    'contentEncoding',
    'contentMediaType',
  ],
  ...['$schema', '$id', '$comment', '$defs', 'definitions', 'contentSchema'],
])

/** Whether all that fits the schemas of one side fits those of another. */
class Comparison {
  readonly #narrow: Side
  readonly #wide: Side
  #pairs = 0
  /** Pairs that are compared or were: those that refer to each other in a circle agree unless one of them does not. */
  #seen: Seen = new Map()

  constructor(narrow: Side, wide: Side) {
    this.#narrow = narrow
    this.#wide = wide
  }

  check(narrowIn: Schema, wideIn: Schema, path: string, fail: Fail): void {
    const narrow = follow(narrowIn, this.#narrow.root)
    const wide = follow(wideIn, this.#wide.root)
    if (narrow === false || wide === true) return
    const n = narrow === true ? anything : narrow
    if (wide === false) {
      fail(path, `is allowed in ${this.#narrow.name} and not in ${this.#wide.name}`)
      return
    }
    if (++this.#pairs > mostPairs) {
      fail(path, 'has too many alternatives to be compared')
      return
    }
    const seen = this.#seen.get(n) ?? new Set()
    if (seen.has(wide)) return
    this.#seen.set(n, seen.add(wide))
    if (wide.anyOf || n.anyOf) {
      this.#alternatives(n, wide, path, fail)
      return
    }
    this.#values(n, wide, path, fail)
    this.#types(n, wide, path, fail)
    this.#bounds(n, wide, path, fail)
    this.#properties(n, wide, path, fail)
    this.#items(n, wide, path, fail)
    const kept = new Set(opaque.filter((key) => wide[key] !== undefined))
    for (const [key, others] of Object.entries(evaluating)) {
      if (wide[key] !== undefined) for (const other of others) if (n[other] !== undefined) kept.add(other)
    }
    const closed = Object.keys(evaluating).some((key) => wide[key] !== undefined)
    // Without it, there must be one.
    if (wide.contains !== undefined && n.minContains === 0) kept.add('minContains')
    for (const key of kept) {
      const one = { [key]: n[key] }
      const other = { [key]: wide[key] }
      if (this.#same(one, other)) continue
      if (key === '$ref' && key in n && key in wide && !closed) this.check(one, other, join(path, key), fail)
      else fail(join(path, key), 'is not the same in both versions, and cannot be compared')
    }
  }

  /** Each alternative of the narrower has to fit one of the wider. */
  #alternatives(narrow: SchemaObject, wide: SchemaObject, path: string, fail: Fail): void {
    if (this.#same(narrow, wide)) return
    const from = alternativesOf(narrow)
    const into = alternativesOf(wide)
    if (!from || !into) {
      fail(join(path, 'anyOf'), 'stands beside other keywords, and cannot be compared')
      return
    }
    const fits = (one: Schema, other: Schema) => {
      const before = this.#seen
      this.#seen = new Map([...before].map(([key, set]) => [key, new Set(set)]))
      let fine = true
      this.check(one, other, path, () => {
        fine = false
      })
      this.#seen = before
      return fine
    }
    if (from.some((one) => !into.some((other) => fits(one, other)))) {
      fail(join(path, 'anyOf'), `allows something in ${this.#narrow.name} that fits none of the alternatives of ${this.#wide.name}`)
    }
  }

  #values(narrow: SchemaObject, wide: SchemaObject, path: string, fail: Fail): void {
    for (const key of ['enum', 'const']) {
      if (!(key in wide)) continue
      const at = join(path, key)
      const given = valuesOf(narrow)
      if (!given) {
        fail(at, `limits the values in ${this.#wide.name} and not in ${this.#narrow.name}`)
        continue
      }
      const known = new Set(valuesOf({ [key]: wide[key] })!.map(canonical))
      const lost = given.filter((value) => !known.has(canonical(value)))
      const shown = lost.slice(0, 8).map(show).join(', ')
      if (lost.length > 0) fail(at, `${shown} may be in ${this.#narrow.name} and not in ${this.#wide.name}`)
    }
  }

  #types(narrow: SchemaObject, wide: SchemaObject, path: string, fail: Fail): void {
    const types = typesOf(wide)
    if (!types) return
    const has = typesOf(narrow) ?? (valuesOf(narrow) && [...new Set(valuesOf(narrow)!.map(typeOf))])
    const lost = has?.filter((type) => !types.includes(type) && !(type === 'integer' && types.includes('number')))
    if (lost?.length === 0) return
    fail(
      join(path, 'type'),
      `is ${has?.join(' or ') ?? 'anything'} in ${this.#narrow.name} and ${types.join(' or ')} in ${this.#wide.name}`,
    )
  }

  #bounds(narrow: SchemaObject, wide: SchemaObject, path: string, fail: Fail): void {
    const check = (key: string, holds: (narrow: number, wide: number) => boolean) => {
      if (wide[key] === undefined || (narrow[key] !== undefined && holds(Number(narrow[key]), Number(wide[key])))) return
      fail(join(path, key), `is ${show(narrow[key])} in ${this.#narrow.name} and ${show(wide[key])} in ${this.#wide.name}`)
    }
    for (const key of lowerBounds) check(key, (a, b) => a >= b)
    for (const key of upperBounds) check(key, (a, b) => a <= b)
    check('multipleOf', (a, b) => Number.isInteger(a / b))
    check('uniqueItems', (a, b) => a >= b)
  }

  #properties(narrow: SchemaObject, wide: SchemaObject, path: string, fail: Fail): void {
    const required = new Set((narrow.required ?? []) as string[])
    for (const name of (wide.required ?? []) as string[]) {
      if (!required.has(name))
        fail(join(path, 'required'), `${show(name)} is required in ${this.#wide.name} and not in ${this.#narrow.name}`)
    }
    const here = (narrow.properties ?? {}) as Record<string, Schema>
    const there = (wide.properties ?? {}) as Record<string, Schema>
    const others = narrow.additionalProperties as Schema | undefined
    const rest = wide.additionalProperties as Schema | undefined
    const unnamed = rest ?? (wide.unevaluatedProperties as Schema | undefined)
    const at = (name: string) => join(join(path, 'properties'), name)
    for (const name of Object.keys(here)) {
      if (Object.hasOwn(there, name)) this.check(here[name]!, there[name]!, at(name), fail)
      else if (unnamed !== undefined) this.check(here[name]!, unnamed, at(name), fail)
    }
    const patterns = Object.entries((narrow.patternProperties ?? {}) as Record<string, Schema>)
    const compiled = patterns.map(([pattern, schema]) => ({ ...compilePattern(pattern), schema }))
    const said = others ?? (narrow.unevaluatedProperties as Schema | undefined)
    // Those that the narrower does not name: not used, unless it says what they are, or that they are there.
    for (const name of Object.keys(there)) {
      if (Object.hasOwn(here, name)) continue
      const matching = compiled.find(({ test }) => test(name))?.schema
      if (matching !== undefined) this.check(matching, there[name]!, at(name), fail)
      else if (isObject(said) || required.has(name)) this.check(said ?? true, there[name]!, at(name), fail)
    }
    if (rest === undefined) return
    this.check(others ?? true, rest, join(path, 'additionalProperties'), fail)
    // Others are the same in both, or were told of.
    if (wide.patternProperties === undefined) {
      for (const [pattern, schema] of patterns) this.check(schema, rest, join(join(path, 'patternProperties'), pattern), fail)
    }
  }

  #items(narrow: SchemaObject, wide: SchemaObject, path: string, fail: Fail): void {
    const first = (narrow.prefixItems ?? []) as Schema[]
    const other = (wide.prefixItems ?? []) as Schema[]
    const rest = (narrow.items ?? true) as Schema
    const otherRest = (wide.items ?? true) as Schema
    for (let i = 0; i < Math.max(first.length, other.length); i++) {
      this.check(first[i] ?? rest, other[i] ?? otherRest, join(join(path, 'prefixItems'), i), fail)
    }
    this.check(rest, otherRest, join(path, 'items'), fail)
  }

  /** The same text, and the same definitions behind its references. */
  #same(a: unknown, b: unknown, seen = new Set<string>()): boolean {
    if (!isDeepStrictEqual(a, b)) return false
    for (const ref of refsOf(a)) {
      if (seen.has(ref)) continue
      seen.add(ref)
      if (!this.#same(resolve(this.#narrow.root, ref), resolve(this.#wide.root, ref), seen)) return false
    }
    return true
  }
}

/** The schema behind references that stand alone. */
function follow(schema: Schema, root: SchemaObject): Schema {
  let at = schema
  // More in a row than a definition can have go in a circle.
  for (let i = 0; i < 1000 && isObject(at) && typeof at.$ref === 'string'; i++) {
    if (Object.keys(at).some((key) => key !== '$ref' && !annotations.has(key))) break
    at = resolve(root, at.$ref) as Schema
  }
  return at
}

/** Undefined when something stands beside the alternatives. */
function alternativesOf(schema: SchemaObject): readonly Schema[] | undefined {
  if (!Array.isArray(schema.anyOf)) return [schema]
  return Object.keys(schema).every((key) => key === 'anyOf' || annotations.has(key)) ? (schema.anyOf as Schema[]) : undefined
}

function* refsOf(value: unknown): Iterable<string> {
  if (typeof value !== 'object' || value === null) return
  for (const [key, each] of Object.entries(value)) {
    if (key === '$ref' && typeof each === 'string') yield each
    else yield* refsOf(each)
  }
}

function valuesOf(schema: SchemaObject): readonly unknown[] | undefined {
  if (Array.isArray(schema.enum)) return schema.enum
  return 'const' in schema ? [schema.const] : undefined
}

function typesOf(schema: SchemaObject): readonly string[] | undefined {
  return schema.type === undefined ? undefined : ([schema.type].flat() as string[])
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isInteger(value) ? 'integer' : typeof value
}

function show(value: unknown): string {
  return value === undefined ? 'not set' : JSON.stringify(value)
}
