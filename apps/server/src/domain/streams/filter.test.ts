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
    ['key == "a" && amount > 1', /^filter: line 1, column 15: 'amount' is not known; there are payload, headers/],
    ['payload.tags.all(x, x == "a")', /^filter: line 1, column \d+: there is a macro that loops/],
    ['true &&\n key.startWith("a")', /^filter: line 2, column 5: there is no method 'startWith'/],
    ['nothing(payload)', /^filter: line 1, column 1: there is no function 'nothing'/],
    ['size(key, key) == 1', /'size' takes 1 argument, not 2/],
    ['key.matches("a(b")', /^filter: line 1, column 13: this is not a regular expression of RE2: .*missing closing/],
    ['key.matches(payload.pattern)', /^filter: line 1, column 20: 'matches' takes its regular expression as a text between quotes/],
    [`key.matches("(${'a'.repeat(900)}){1000}")`, /too large when its repetitions are written out/],
    ['('.repeat(500), /nested too deeply/],
    ['true || '.repeat(200), /at most 1024/],
  ])('is refused, and it says where: %s', (filter, message) => {
    expect(() => compileFilter(filter)).toThrow(message)
  })

  it('does not see what the server keeps among the headers', () => {
    const { headers, ...rest } = message({})
    const filter = compileFilter('size(headers) == 1 && !("@schema" in headers)')
    expect(filter({ ...rest, headers: { ...headers, '@schema': '1 order' } }, at)).toBe(true)
  })

  it('counts the characters of a text, not its units', () => expect(fits('size("añ😀") == 3 && "añ😀".size() == 3')).toBe(true))

  it.each([
    ['texts made larger and larger', `size(${Array(80).fill('payload.s').join('+')}) > 1`],
    ['lists made larger and larger', `size(${Array(80).fill('payload.l').join('+')}) > 1`],
    ['a large regular expression for a large text', 'payload.s.matches("(a|ab){500}$")'],
    ['a long text in a longer one', 'payload.s.contains(payload.t)'],
  ])('is refused when it takes too much: %s', (_, text) => {
    const payload = { s: 'a'.repeat(200_000), t: `${'a'.repeat(50_000)}b${'a'.repeat(50_000)}`, l: Array(100_000).fill(1) }
    // Also where the rest of the expression does not need it.
    for (const filter of [text, `${text} || true`]) {
      expect(() => compileFilter(filter)(message(payload), at)).toThrow(/^filter: takes too long for the message 41 of partition 2/)
    }
    expect(compileFilter(text)(message({ s: 'a', t: 'b', l: [] }), at)).toBeTypeOf('boolean')
  })

  it('is not slowed down by a hostile expression', () => {
    const evil = compileFilter('key.matches("^(a+)+$")')!
    // One that goes back over the text would not end before the stars do.
    expect(evil({ ...message({}), key: `${'a'.repeat(500)}!` }, at)).toBe(false)
  })
})
