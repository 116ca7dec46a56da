import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as http from '../http.ts'
import * as wire from '../index.ts'
import { type Field, fieldsOf, type Shape } from './shape.ts'
import { valuesOf } from './values.ts'

interface MessageCodec {
  fromPartial(message: object): object
  encode(message: unknown): { finish(): Uint8Array }
  decode(bytes: Uint8Array): unknown
}

const codecs = wire as unknown as Readonly<Record<string, MessageCodec>>
const shapes = (Object.entries(http) as [string, Shape][]).filter(([name, value]) => Array.isArray(value) && name in wire)

/** Complete messages of a shape, with whatever values its fields may have. */
function messages(shape: Shape): fc.Arbitrary<Record<string, unknown>> {
  const plain = fieldsOf(shape).filter((field) => !field.oneof)
  const parts: Record<string, fc.Arbitrary<unknown>> = {}
  for (const field of plain) parts[field.name] = fieldValues(field)
  for (const name of new Set(fieldsOf(shape).flatMap(({ oneof }) => oneof ?? []))) {
    const cases = fieldsOf(shape).filter(({ oneof }) => oneof === name)
    const one = fc.oneof(...cases.map((field) => fc.record({ $case: fc.constant(field.name), value: values(field) })))
    parts[name] = fc.option(one, { nil: undefined })
  }
  return fc.record(parts).map((message) => {
    for (const { name, companion, many } of plain) {
      if (!companion) continue
      const bytes = message[name] as Uint8Array | undefined
      // Nothing is no JSON: where a payload may be absent, an empty one is.
      Object.assign(message, payload(name, companion, many === '?' && bytes?.length === 0 ? undefined : bytes))
    }
    return message
  })
}

/** A payload field and its content type that fit each other. */
function payload(name: string, companion: string, bytes: Uint8Array | undefined): Record<string, unknown> {
  if (!bytes) return { [name]: undefined, [companion]: '' }
  const contentType = ['', 'application/json', 'application/octet-stream', 'text/plain'][bytes.length % 4]!
  const isJson = !/octet|text/.test(contentType) && bytes.length > 0
  return { [name]: isJson ? new TextEncoder().encode(JSON.stringify([...bytes])) : bytes, [companion]: contentType }
}

function fieldValues(field: Field): fc.Arbitrary<unknown> {
  if (field.many === '*') return fc.array(values(field), { maxLength: 3 })
  if (field.many === '%')
    return fc.dictionary(fc.oneof(fc.string(), fc.constant('__proto__')), values(field), { maxKeys: 3 }).map((map) => ({ ...map }))
  if (field.many === '?' || field.kind === 'm' || field.kind === 't') return fc.option(values(field), { nil: undefined })
  return values(field)
}

function values({ kind, message, names }: Field): fc.Arbitrary<unknown> {
  switch (kind) {
    case 's':
      return fc.string({ unit: 'grapheme', maxLength: 8 })
    case 'b':
      return fc.uint8Array({ maxLength: 8 })
    case 'z':
      return fc.boolean()
    case 'd':
      return fc.double().map((value) => value + 0) // JSON has no -0
    case 'i':
      return fc.integer()
    case 'u':
      return fc.integer({ min: 0, max: 2 ** 32 - 1 })
    case 'l':
      return fc.maxSafeInteger()
    case 't':
      return fc.date({ noInvalidDate: true, min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T00:00:00Z') })
    case 'e':
      return fc.constantFrom(...[...valuesOf(names).keys()].filter((key) => typeof key === 'number'))
    default:
      return messages(message!)
  }
}

describe.each(shapes)('%s', (name, shape) => {
  it('has the fields of the generated message', () => {
    expect(http.fromJson(shape, {})).toEqual(codecs[name]!.fromPartial({}))
  })

  it('survives JSON, whole and sparse, and the check', () => {
    fc.assert(
      fc.property(messages(shape), fc.boolean(), (message, sparse) => {
        const json: unknown = JSON.parse(JSON.stringify(http.toJson(shape, message, { sparse })))
        expect(http.checkJson(shape, json)).toEqual([])
        expect(http.fromJson(shape, json)).toEqual(message)
      }),
      { numRuns: 50 },
    )
  })

  it('means the same over gRPC', () => {
    fc.assert(
      fc.property(messages(shape), (message) => {
        const bytes = codecs[name]!.encode(message).finish()
        expect(http.toJson(shape, codecs[name]!.decode(bytes))).toEqual(http.toJson(shape, message))
      }),
      { numRuns: 50 },
    )
  })
})

describe('JSON', () => {
  const newTask = (json: object) => http.fromJson(http.NewTask, json)
  const task = (part: Partial<wire.Task>) => http.toJson(http.Task, wire.Task.fromPartial(part))

  it('has what is set', () => {
    const createdAt = new Date('2027-01-31T12:00:00.250Z')
    expect(task({ taskId: 'task_1', state: wire.JobState.COMPLETED, createdAt })).toEqual({
      taskId: 'task_1',
      state: 'completed',
      priority: 0,
      progress: 0,
      attempts: 0,
      maxAttempts: 0,
      labels: {},
      createdAt: '2027-01-31T12:00:00.250Z',
      revision: 0,
      teeRequired: false,
    })
  })

  it('has payloads as plain JSON, or as base64 beside their content type', () => {
    expect(task({ result: bytes('{"a":[null]}') })).toMatchObject({ result: { a: [null] } })
    expect(task({ result: bytes('null') })).toMatchObject({ result: null })
    expect(task({ result: bytes('hi'), resultContentType: 'text/plain' })).toMatchObject({
      result: 'aGk=',
      resultContentType: 'text/plain',
    })
    expect(task({ result: bytes('hi') })).toMatchObject({ result: 'aGk=', resultContentType: 'application/octet-stream' })
    expect(newTask({ payload: null }).payload).toEqual(bytes('null'))
    expect(newTask({ payload: 'aGk', contentType: 'text/plain' }).payload).toEqual(bytes('hi'))
  })

  it('takes short and full names of enums, in answers also what it does not know', () => {
    const states = (...names: string[]) => http.fromJson(http.ListTasksRequest, { states: names }).states
    expect(states('running', 'JOB_STATE_FAILED', 'sleeping')).toEqual([wire.JobState.RUNNING, wire.JobState.FAILED, -1])
    expect(http.toJson(http.ListTasksRequest, { ...http.fromJson(http.ListTasksRequest, {}), states: [4, 99 as 4] })).toMatchObject({
      states: ['running', 99],
    })
  })

  it('reads oneofs by the name of the field', () => {
    const json = { jobId: 'job_1', leaseToken: 'l', fail: { noRetry: true, error: { message: 'm', code: 'c' } } }
    expect(http.fromJson(http.Settlement, json)).toEqual({
      jobId: 'job_1',
      leaseToken: 'l',
      action: { $case: 'fail', value: { noRetry: true, delayMs: undefined, error: { message: 'm', code: 'c', stack: '' } } },
    })
  })

  it('reads numbers from text, and nothing from null', () => {
    expect(newTask({ timeoutMs: '9007199254740991', priority: '-5', labels: null, queue: null })).toMatchObject({
      timeoutMs: 9007199254740991,
      priority: -5,
      labels: {},
      queue: '',
    })
  })

  it('reads numbers that were kept as they were written', () => {
    const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }
    const json = { values: [rawJSON('0.12345678901234567890'), rawJSON('123456789012345678901')] }
    expect(http.checkJson(http.Vector, json)).toEqual([])
    expect(http.fromJson(http.Vector, json)).toMatchObject({ values: [0.12345678901234568, 123456789012345680000] })
    expect(http.checkJson(http.Vector, { values: [{ rawJSON: '1' }] })).toMatchObject([{ path: 'values[0]' }])
  })

  it('is not fooled by what objects inherit', () => {
    expect(http.fromJson([`toString constructor`], {})).toEqual({ toString: '', constructor: '' })
    expect(http.checkJson(http.NewTask, JSON.parse('{ "__proto__": {}, "constructor": 1 }'))).toHaveLength(2)
    const { labels } = newTask(JSON.parse('{ "labels": { "__proto__": "x" } }'))
    expect(Object.entries(labels)).toEqual([['__proto__', 'x']])
  })
})

describe('checkJson', () => {
  const problems = (json: unknown) => http.checkJson(http.SubmitTaskRequest, json).map(({ path, message }) => `${path}: ${message}`)

  it.each<[string, unknown]>([
    [': is a list, not an object', []],
    ['task: is text, not an object', { task: 'x' }],
    ['requestId: is a number, not text', { requestId: 5 }],
    ['requestId: is not well-formed Unicode', { requestId: '\ud800' }],
    ['task.labels: is a list, not an object', { task: { labels: [] } }],
    ['task.labels.a: is a number, not text', { task: { labels: { a: 1 } } }],
    ['task.priority: is text, not a number', { task: { priority: 'high' } }],
    ['task.priority: is not a whole number from -2147483648 to 2147483647', { task: { priority: 1.5 } }],
    ['task.timeoutMs: is not a whole number from -9007199254740991 to 9007199254740991', { task: { timeoutMs: '9007199254740993' } }],
    ['task.runAt: is not a time like 2027-01-31T12:00:00Z', { task: { runAt: 'tomorrow' } }],
    ['task.runAt: is not a time like 2027-01-31T12:00:00Z', { task: { runAt: '2027-02-31T99:00:00Z' } }],
    ['task.payload: is not base64; contentType is image/png', { task: { payload: '***', contentType: 'image/png' } }],
    ['task.retry.strategy: is not one of unspecified, fixed, linear, exponential', { task: { retry: { strategy: 'never' } } }],
  ])('%s', (problem, json) => {
    expect(problems(json)).toEqual([problem])
  })

  it('names the fields there are', () => {
    expect(problems({ tusk: {} })).toEqual(['tusk: is not a field; there are task, requestId'])
  })

  it('tells of ten at most', () => {
    expect(http.checkJson(http.GetTasksRequest, { taskIds: Array(1000).fill(1) })).toHaveLength(10)
  })

  it('refuses two fields of one oneof', () => {
    expect(http.checkJson(http.Settlement, { renew: {}, release: {} })).toMatchObject([{ path: 'release' }])
  })
})

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
