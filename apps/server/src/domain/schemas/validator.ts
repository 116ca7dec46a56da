import type { CodeKeywordDefinition, ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { Budget } from './budget.ts'
import { type CompiledPattern, compilePattern } from './pattern.ts'
import { type FieldProblem, problemsOf } from './problems.ts'
import { applicators, canonical, isObject, type Schema, type SchemaObject } from './walk.ts'

/** Payloads up to this size are told of all that is wrong with them; larger ones of the first thing. */
const explainedBytes = 64 * 1024

class TooMuchWork extends Error {}

/**
 * A schema made a function. Schemas are written by strangers: each of their parts takes steps from a budget wherever it is
 * applied, since references can make a small schema take time that grows exponentially with the depth of a value, and so do
 * regular expressions, which take time in proportion to the text and to themselves.
 */
export class Validator {
  readonly #schema: SchemaObject
  readonly #first: ValidateFunction
  #all: ValidateFunction | undefined
  #budget = new Budget()

  /** @param definition - the JSON of a schema that was checked. */
  constructor(definition: string) {
    const { $id, ...schema } = JSON.parse(definition) as SchemaObject
    this.#schema = metered(schema) as SchemaObject
    this.#first = this.#compile(false)
  }

  /** What of a payload, the bytes of JSON, does not fit. */
  problems(payload: Uint8Array, budget: Budget): readonly FieldProblem[] {
    let value: unknown
    try {
      value = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'))
    } catch (error) {
      return [{ path: 'payload', message: `is not JSON: ${(error as Error).message}` }]
    }
    this.#budget = budget
    budget.add(payload.length)
    try {
      if (this.#first(value)) return []
      if (payload.length > explainedBytes) return problemsOf(value, this.#first.errors!)
      this.#all ??= this.#compile(true)
      this.#all(value)
      return problemsOf(value, this.#all.errors!)
    } catch (error) {
      if (error instanceof TooMuchWork)
        return [{ path: 'payload', message: 'takes too long to check; write less at a time, or simplify the schema' }]
      // The stack: of a value, or of a schema that refers to itself in place.
      if (error instanceof RangeError) return [{ path: 'payload', message: 'is nested too deeply to be checked' }]
      throw error
    }
  }

  #compile(allErrors: boolean): ValidateFunction {
    const ajv = new Ajv2020({
      strict: false,
      meta: false,
      validateSchema: false,
      validateFormats: false,
      inlineRefs: false,
      ownProperties: true,
      logger: false,
      allErrors,
      code: { regExp: Object.assign((pattern: string) => this.#counted(compilePattern(pattern)), { code: '' }) },
    })
    // The one of ajv compares each item with each.
    ajv.removeKeyword('uniqueItems')
    ajv.addKeyword({
      keyword: 'uniqueItems',
      type: 'array',
      schemaType: 'boolean',
      error: { message: 'has the same item twice' },
      validate: (unique: boolean, items: readonly unknown[]) => !unique || new Set(items.map(canonical)).size === items.length,
    })
    // The one of ajv says that 19.99 is not a multiple of 0.01.
    ajv.removeKeyword('multipleOf')
    ajv.addKeyword({
      keyword: 'multipleOf',
      type: 'number',
      schemaType: 'number',
      validate: isMultiple,
      error: { message: ({ schema }) => `is not a multiple of ${String(schema)}` },
    })
    // After the one of ajv, a list that ends before the items it speaks of was not checked by what follows, such as contains.
    const prefixItems = ajv.getKeyword('prefixItems') as CodeKeywordDefinition
    ajv.removeKeyword('prefixItems')
    ajv.addKeyword({
      ...prefixItems,
      before: 'items',
      code: (context) => context.gen.block(() => prefixItems.code(context)),
    })
    ajv.addKeyword({
      keyword: stepsKeyword,
      schemaType: 'object',
      errors: false,
      validate: (steps: Steps, value: unknown) => {
        if (!this.#budget.take(steps.once + steps.each * sizeOf(value))) throw new TooMuchWork()
        return true
      },
    })
    return ajv.compile(this.#schema)
  }

  /** A pattern that takes steps before it is tested: keywords take theirs after those of texts. */
  #counted({ size, test }: CompiledPattern): Pick<CompiledPattern, 'test'> {
    return {
      test: (text) => {
        if (!this.#budget.take((text.length * size) / perStep)) throw new TooMuchWork()
        return test(text)
      },
    }
  }
}

/** Characters, times the size of the pattern that they are tested with, for one step. */
const perStep = 16

/** Not one that a definition may have. */
const stepsKeyword = 'steps'

interface Steps {
  readonly once: number
  /** For each property, item, or 64 characters. */
  readonly each: number
}

function metered(schema: Schema): Schema {
  if (!isObject(schema)) return schema
  // Those of its own mean nothing here, but ajv would look for names of schemas in them.
  const copy: Record<string, unknown> = Object.fromEntries(Object.entries(schema).filter(([key]) => !key.startsWith('x-')))
  for (const key of applicators.one) if (key in schema) copy[key] = metered(schema[key] as Schema)
  for (const key of applicators.list) if (key in schema) copy[key] = (schema[key] as Schema[]).map(metered)
  for (const key of applicators.named) {
    if (key in schema)
      copy[key] = Object.fromEntries(Object.entries(schema[key] as Record<string, Schema>).map(([name, value]) => [name, metered(value)]))
  }
  const count = (value: unknown) => (typeof value === 'object' && value !== null ? Object.keys(value).length : 0)
  const once = 1 + (count(schema.enum) + count(schema.properties) + count(schema.required) + count(schema.const)) / 8
  copy[stepsKeyword] = { once, each: 1 + 4 * count(schema.patternProperties) } satisfies Steps
  return copy
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length >> 6
  if (Array.isArray(value)) return value.length
  if (typeof value !== 'object' || value === null) return 0
  let size = 0
  for (const _ in value) size++
  return size
}

/** True for a multiple, but for what a double cannot hold. */
function isMultiple(of: number, value: number): boolean {
  const times = value / of
  return Math.abs(times - Math.round(times)) <= 4 * Number.EPSILON * Math.abs(times)
}
