import { createHash } from 'node:crypto'
import { checkJson, type Field, fieldsOf, fromJson, type JsonObject, type Shape } from '@millrace/protocol/http'
import { MillraceError } from '../../errors.ts'
import type { HttpExchange } from './exchange.ts'
import { readJson } from './read-body.ts'
import type { Match } from './routes.ts'

/** One wrong field. */
interface Violation {
  readonly path: string
  readonly message: string
}

/** Names in a query that are no fields. */
const reserved = new Set(['lastEventId'])

/**
 * Reads the request's message from its path, query, body and headers.
 *
 * @param limit - bytes of the body at most.
 * @throws VALIDATION, HttpError
 */
export async function readRequest(exchange: HttpExchange, { found, variables }: Match, limit: number): Promise<unknown> {
  const [, , shape] = found.route
  const violations: Violation[] = []
  const json = found.body === '' ? {} : await readBodyFields(exchange, found.body, limit)
  for (const [name, text] of Object.entries(variables)) {
    const value = readSegment(name, text, violations)
    if (Object.hasOwn(json, name) && json[name] !== value)
      violations.push({ path: name, message: 'is another in the body than in the path' })
    json[name] = value
  }
  // With `body: "*"` whatever is not in the path is in the body.
  for (const [name, text] of exchange.query) {
    if (!reserved.has(name)) readQuery(found.body === '*' ? [''] : shape, json, name, text, violations)
  }
  const key = exchange.header('idempotency-key')
  try {
    if (key !== undefined && !exchange.isRead) giveIdempotencyKey(shape, json, key)
    violations.push(...checkJson(shape, json))
    if (violations.length > 0) throw invalidRequest(violations)
    return fromJson(shape, json)
  } catch (error) {
    // Writing deeply nested JSON takes more stack than reading it.
    if (error instanceof RangeError) throw new MillraceError('VALIDATION', 'The body is nested too deeply.')
    throw error
  }
}

/** Refuses a request with what is wrong with it. */
function invalidRequest(violations: readonly Violation[]): MillraceError {
  const [first] = violations
  const others = violations.length - 1
  const message = `${first!.path ? `${first!.path}: ` : 'The body '}${first!.message}${others > 0 ? ` (and ${others} more wrong field${others > 1 ? 's' : ''})` : ''}`
  return new MillraceError('VALIDATION', message, { fields: violations })
}

async function readBodyFields(exchange: HttpExchange, body: string, limit: number): Promise<JsonObject> {
  const json = await readJson(exchange, limit)
  if (body !== '*') return { [body]: json }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject
  throw new MillraceError('VALIDATION', 'The body is not a JSON object.')
}

/** A name in the path. A single `-` stands for an empty one. */
function readSegment(name: string, text: string, violations: Violation[]): string {
  if (text === '-') return ''
  try {
    return decodeURIComponent(text)
  } catch {
    violations.push({ path: name, message: 'is not percent-encoded UTF-8' })
    return ''
  }
}

/** Adds one part of the query: `limit=10`, `states=running`, `retry.maxAttempts=3`, `labels.team=blue` or `labels[team]=blue`. */
function readQuery(shape: Shape, json: JsonObject, name: string, text: string, violations: Violation[]): void {
  const path = name
  let at: JsonObject = json
  let fields = fieldsOf(shape)
  // `labels[team]=blue` is what descriptions of the API can say; it means `labels.team=blue`.
  let rest = name.replace(/^(\w+)\[(.*)\]$/s, '$1.$2')
  for (;;) {
    const dot = rest.indexOf('.')
    const first = dot < 0 ? rest : rest.slice(0, dot)
    rest = dot < 0 ? '' : rest.slice(dot + 1)
    const field = fields.find((one) => one.name === first)
    if (!field || (rest !== '' && field.kind !== 'm' && field.many !== '%')) {
      violations.push({ path, message: 'is not a parameter of this method' })
      return
    }
    if (field.companion || (field.many === '*' && field.kind === 'm') || (rest === '' && (field.kind === 'm' || field.many === '%'))) {
      violations.push({ path, message: 'cannot be given in the query' })
      return
    }
    if (rest === '') {
      putQuery(at, field, text, path, violations)
      return
    }
    const inner: unknown = Object.hasOwn(at, first) ? at[first] : {}
    // What the body has there may be anything.
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) {
      violations.push({ path, message: `is part of ${first}, which the body gives, and not as an object` })
      return
    }
    if (field.many === '%') {
      at[first] = Object.fromEntries([...Object.entries(inner), [rest, readText(field, text)]])
      return
    }
    at[first] = inner
    at = inner as JsonObject
    fields = fieldsOf(field.message!)
  }
}

function putQuery(at: JsonObject, field: Field, text: string, path: string, violations: Violation[]): void {
  const { name, many } = field
  if (many === '*') {
    const list = Object.hasOwn(at, name) ? (at[name] as unknown[]) : []
    at[name] = [...list, readText(field, text)]
  } else if (Object.hasOwn(at, name)) violations.push({ path, message: 'is given more than once' })
  else at[name] = readText(field, text)
}

/** Numbers and the like are read from text anyway. */
function readText({ kind }: Field, text: string): unknown {
  return kind === 'z' && /^(true|false)$/.test(text) ? text === 'true' : text
}

/**
 * Puts the header `Idempotency-Key` where the message has room for it: the key of its one thing, which is refused when it
 * comes again with another payload; else the name of the request.
 */
function giveIdempotencyKey(shape: Shape, json: JsonObject, key: string): void {
  const fields = fieldsOf(shape)
  const thing = fields.find((field) => field.message && fieldsOf(field.message).some(({ name }) => name === 'idempotencyKey'))
  const value = thing && Object.hasOwn(json, thing.name) ? json[thing.name] : undefined
  const one = Array.isArray(value) && value.length === 1 ? (value[0] as unknown) : value
  const target = fields.some(({ name }) => name === 'idempotencyKey') ? json : one
  if (typeof target === 'object' && target !== null && !Array.isArray(target)) {
    if (!Object.hasOwn(target, 'idempotencyKey')) (target as JsonObject).idempotencyKey = key
  } else if (fields.some(({ name }) => name === 'requestId') && !Object.hasOwn(json, 'requestId')) {
    // Of another body the same key is another request: answering it as the first would lose it.
    json.requestId = createHash('sha256')
      .update(JSON.stringify([key, json]))
      .digest('base64url')
  }
}
