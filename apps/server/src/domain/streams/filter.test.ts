import { describe, expect, it } from 'vitest'
import { compileFilter } from './filter.ts'

const at = { partition: 2, offset: 41, timestamp: Date.UTC(2026, 0, 2) }
const message = (payload: unknown, contentType = '') => ({
  payload: Buffer.from(contentType === '' ? JSON.stringify(payload) : String(payload)),
  contentType,
  headers: { type: 'created' },
  key: 'ada',
})
const fits = (filter: string, payload: unknown = { amount: 150, tags: ['a'], customer: { name: 'Ada' } }) =>
  compileFilter(filter)!(message(payload), at)

describe('a filter', () => {
  it.each([
    'payload.amount > 100',
    'payload.amount == 150',
    'payload.customer.name.startsWith("A") && headers.type == "created"',
    'headers["type"] == "created" || payload.none == 1',
    'key == "ada" && partition == 2 && offset >= 41',
    'offset % 2 == 1',
    '"a" in payload.tags && size(payload.tags) == 1',
    'timestamp > timestamp("2026-01-01T00:00:00Z")',
    'key.matches("^a+d")',
    'has(payload.amount) && !has(payload.none)',
  ])('takes a message: %s', (filter) => expect(fits(filter)).toBe(true))

  it.each([
    'payload.amount < 100',
    'payload.none == 1',
    'payload.amount == "150"',
    'payload.amount', // not a truth value
    'nothing(payload)',
    'headers.none == "x"',
  ])('leaves a message out: %s', (filter) => expect(fits(filter)).toBe(false))

  it('leaves out what has no JSON payload when it asks for one', () => {
    const filter = compileFilter('payload.amount > 1')!
    for (const other of [message('{"amount":2}', 'text/plain'), message('{', 'application/json')]) expect(filter(other, at)).toBe(false)
    expect(compileFilter('key == "ada"')!(message('x', 'text/plain'), at)).toBe(true)
  })

  it.each([
    ['payload.amount > ', /^filter: line 1, column 16: /],
    ['key == "a" &&\n && true', /^filter: line 1, column 12: /],
    ['amount > 1', /'amount' is not known; there are payload, headers/],
    ['payload.tags.all(x, x == "a")', /macro that loops/],
    ['true || '.repeat(200), /at most 1024/],
  ])('is refused, and it says where: %s', (filter, message) => {
    expect(() => compileFilter(filter)).toThrow(message)
  })

  it('is not slowed down by a hostile expression', () => {
    const evil = compileFilter('key.matches("^(a+)+$")')!
    // One that goes back over the text would not end before the stars do.
    expect(evil({ ...message({}), key: `${'a'.repeat(500)}!` }, at)).toBe(false)
  })
})
