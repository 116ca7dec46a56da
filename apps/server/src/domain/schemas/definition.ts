import { Ajv2020 } from 'ajv/dist/2020.js'
import { compilePattern, mostPatternSize, sizeOfPattern } from './pattern.ts'
import type { FieldProblem } from './problems.ts'
import { pathOf } from './problems.ts'
import { Validator } from './validator.ts'
import { inside, isObject, join, keywords, resolve, type SchemaObject } from './walk.ts'

/** Bytes of a definition, levels of it, and schemas in it. */
const mostBytes = 64 * 1024
const mostLevels = 32
const mostSchemas = 500
/** Characters of a regular expression; of all, when their repetitions are written out. */
const mostPattern = 1000
const mostPatterns = 4 * mostPatternSize

const dialect = 'https://json-schema.org/draft/2020-12/schema'
let meta: Ajv2020 | undefined

/** What is wrong with a definition, by its paths; empty when it is a schema that may be registered. */
export function checkDefinition(bytes: Uint8Array): { readonly problems: FieldProblem[]; readonly schema?: SchemaObject } {
  const problems: FieldProblem[] = []
  const fail = (path: string, message: string) => void problems.push({ path, message })
  if (bytes.length > mostBytes) {
    fail('definition', `has ${bytes.length} bytes; at most ${mostBytes} are allowed`)
    return { problems }
  }
  let schema: unknown
  try {
    schema = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    fail('definition', `is not JSON: ${(error as Error).message}`)
    return { problems }
  }
  if (!isObject(schema)) fail('definition', 'is not a JSON object')
  else if (levelsOf(schema, mostLevels + 1) > mostLevels) fail('definition', `has more than ${mostLevels} levels`)
  if (problems.length > 0) return { problems }
  const known = new Set<unknown>()
  walk(schema as SchemaObject, 'definition', schema as SchemaObject, known, fail)
  if (known.size > mostSchemas) fail('definition', `has ${known.size} schemas in it; at most ${mostSchemas} are allowed`)
  else if ([...known].reduce<number>((size, each) => size + sizeOfPatterns(each as SchemaObject), 0) > mostPatterns)
    fail('definition', `has regular expressions that come to more than ${mostPatterns} characters when their repetitions are written out`)
  else checkParts(schema as SchemaObject, 'definition', schema as SchemaObject, known, fail)
  if (problems.length > 0) return { problems }
  meta ??= new Ajv2020({ strict: false, allErrors: true, logger: false })
  if (!meta.validateSchema({ ...(schema as SchemaObject), $schema: dialect })) {
    for (const { instancePath, message } of meta.errors!) fail(pathOf('definition', schema, instancePath), message ?? 'is wrong')
  }
  if (problems.length > 0) return { problems }
  try {
    new Validator(JSON.stringify(schema))
  } catch (error) {
    // Such as an enumeration of nothing, or a number beyond those of JavaScript.
    fail('definition', `cannot be checked with: ${(error as Error).message}`)
  }
  return problems.length > 0 ? { problems } : { problems, schema: schema as SchemaObject }
}

type Fail = (path: string, message: string) => void

function walk(schema: SchemaObject, path: string, root: SchemaObject, known: Set<unknown>, fail: Fail): void {
  known.add(schema)
  for (const key of Object.keys(schema)) {
    if (keywords.has(key) || key.startsWith('x-')) continue
    const why = key.startsWith('$') ? 'is not supported' : 'is not a keyword of JSON Schema; those of your own begin with x-'
    fail(join(path, key), why)
  }
  if (schema !== root && '$id' in schema) fail(join(path, '$id'), 'stands inside a schema; only the whole may have one')
  if (schema.$schema !== undefined && schema.$schema !== dialect) fail(join(path, '$schema'), `is not ${dialect}`)
  for (const { value, steps } of inside(schema)) {
    const at = steps.reduce(join, path)
    // An object's own would set its prototype.
    if (steps.at(-1) === '__proto__') fail(at, 'is not a name that a property may have')
    else if (isObject(value)) walk(value, at, root, known, fail)
    else if (typeof value !== 'boolean') fail(at, 'is not a schema; it is an object, true or false')
  }
}

/** Checks what takes time to check, once it is known that there is not too much of it. */
function checkParts(schema: SchemaObject, path: string, root: SchemaObject, known: ReadonlySet<unknown>, fail: Fail): void {
  if (typeof schema.pattern === 'string') checkPattern(schema.pattern, join(path, 'pattern'), fail)
  if (isObject(schema.patternProperties)) {
    for (const pattern of Object.keys(schema.patternProperties)) checkPattern(pattern, join(join(path, 'patternProperties'), pattern), fail)
  }
  const { $ref } = schema
  if ($ref !== undefined) {
    const target = typeof $ref === 'string' && /^#(\/|$)/.test($ref) ? resolve(root, $ref) : undefined
    if (typeof $ref !== 'string' || !$ref.startsWith('#')) {
      fail(join(path, '$ref'), 'leads elsewhere: only schemas of the same definition may be named, such as "#/$defs/address"')
    } else if (!known.has(target) && typeof target !== 'boolean') fail(join(path, '$ref'), `there is no schema at "${$ref}"`)
  }
  for (const { value, steps } of inside(schema)) if (isObject(value)) checkParts(value, steps.reduce(join, path), root, known, fail)
}

function checkPattern(pattern: string, path: string, fail: Fail): void {
  if (pattern.length > mostPattern) {
    fail(path, `has ${pattern.length} characters; at most ${mostPattern} are allowed`)
    return
  }
  if (sizeOfPattern(pattern) > mostPatternSize) {
    fail(path, `comes to more than ${mostPatternSize} characters when its repetitions are written out`)
    return
  }
  try {
    compilePattern(pattern)
  } catch (error) {
    fail(path, `is not a regular expression of RE2, which has neither look-around nor back-references: ${(error as Error).message}`)
  }
}

/** What the patterns right inside of a schema come to, without what is too large by itself, which is told of where it is. */
function sizeOfPatterns({ pattern, patternProperties }: SchemaObject): number {
  const patterns = isObject(patternProperties) ? Object.keys(patternProperties) : []
  if (typeof pattern === 'string') patterns.push(pattern)
  return patterns.reduce((size, each) => size + Math.min(sizeOfPattern(each), mostPatternSize), 0)
}

/** How deep a value is, counted as far as `most`. */
function levelsOf(value: unknown, most: number): number {
  if (most === 0 || typeof value !== 'object' || value === null) return 0
  let deepest = 0
  for (const each of Object.values(value)) deepest = Math.max(deepest, levelsOf(each, most - 1))
  return deepest + 1
}
