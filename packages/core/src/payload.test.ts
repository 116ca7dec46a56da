import { expect, test } from 'vitest'
import { ValidationError } from './errors/errors.ts'
import { decodePayload, encodePayload } from './payload.ts'

test.each([[{ a: [1, 'zwei', null, { b: true }] }], ['text'], [42], [null], [''], [[]], [undefined], ['\u{1f600}']])(
  '%j comes back',
  (value) => {
    const { payload, contentType } = encodePayload('payload', value)
    expect(contentType).toBe('')
    expect(decodePayload('payload', payload, contentType)).toEqual(value)
  },
)

test('bytes come back as bytes, on their own memory', () => {
  const { payload, contentType } = encodePayload('payload', new Uint8Array([0, 255, 7]))
  expect(contentType).toBe('application/octet-stream')
  const decoded = decodePayload('payload', payload, contentType) as Uint8Array
  expect(decoded).toEqual(new Uint8Array([0, 255, 7]))
  expect(decoded.buffer).not.toBe(payload.buffer)
})

test('other content comes back as bytes; JSON with a charset is JSON', () => {
  const bytes = new TextEncoder().encode('<a/>')
  expect(decodePayload('payload', bytes, 'text/xml')).toEqual(bytes)
  expect(decodePayload('payload', new TextEncoder().encode('1'), 'application/json; charset=utf-8')).toBe(1)
})

test('what JSON cannot hold is refused by name', () => {
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  for (const value of [cycle, 1n, () => 1, Symbol('s')]) {
    expect(() => encodePayload('payload', value)).toThrow(ValidationError)
    expect(() => encodePayload('payload', value)).toThrow(/^payload: /)
  }
})

test('what claims to be JSON and is not is refused', () => {
  expect(() => decodePayload('result', new Uint8Array([123]), '')).toThrow(/^result: is not valid JSON/)
  expect(() => decodePayload('result', new Uint8Array([0xff, 0xfe]), '')).toThrow(ValidationError)
})
