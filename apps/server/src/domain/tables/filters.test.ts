import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MillraceError } from '../../errors.ts'
import type { SqlValue } from './backend.ts'
import { Bindings, type Condition, comparisons, conditionSql, saysOfAll } from './conditions.ts'
import { readWhere } from './filter-object.ts'
import { readFilterText } from './filter-text.ts'

/** The SQL of a condition with the values that it binds. */
function sqlOf(condition: Condition): [sql: string, ...values: SqlValue[]] {
  const bindings = new Bindings()
  return [conditionSql(condition, bindings), ...bindings.values]
}

describe('text', () => {
  test.each<[text: string, sql: string, ...values: SqlValue[]]>([
    ['age=gt.25', '(r."age" > $1)', '25'],
    ['age>25&age<=65', '((r."age" > $1) AND (r."age" <= $2))', '25', '65'],
    ['age!=3', '(r."age" <> $1)', '3'],
    ['name=ilike.a*', '(r."name" ILIKE $1)', 'a%'],
    ['id=in.(1,"a,b",c)', '(r."id" = ANY($1))', '{"1","a,b","c"}'],
    ['id=in.()', '(r."id" = ANY($1))', '{}'],
    ['age=is.NULL', '(r."age" IS NULL)'],
    ['tags=cs.{a}', '(r."tags" @> $1)', '{a}'],
    ['meta->tags->>0=eq.de', `((r."meta"->E'tags'->>0) = $1)`, 'de'],
    [`meta->>"it's \\"=eq.1`, `((r."meta"->>E'it''s \\\\') = $1)`, '1'],
    ['"Any ""Thing"""=eq.1', '(r."Any ""Thing""" = $1)', '1'],
    ['or=(age.lt.18,not.and(a.eq.1,b.eq.2))', '((r."age" < $1) OR NOT ((r."a" = $2) AND (r."b" = $3)))', '18', '1', '2'],
    ['age=not.eq.3', 'NOT (r."age" = $1)', '3'],
    ['name=eq."A & B"', '(r."name" = $1)', 'A & B'],
    [`name=eq.'; DROP TABLE users --`, '(r."name" = $1)', `'; DROP TABLE users --`],
    ['name=eq.', '(r."name" = $1)', ''],
    ['"a""&b"=eq.1', '(r."a""&b" = $1)', '1'],
    ['note=ne.:)&id=eq.2', '((r."note" <> $1) AND (r."id" = $2))', ':)', '2'],
    ['or=(note.eq.:),id.eq.2)', '((r."note" = $1) OR (r."id" = $2))', ':)', '2'],
    ['size=ne.5"&id=eq.2&size=ne.6"', '((r."size" <> $1) AND (r."id" = $2) AND (r."size" <> $3))', '5"', '2', '6"'],
    ['size=in.(5",6",":(")', '(r."size" = ANY($1))', '{"5\\"","6\\"",":("}'],
    ['note=eq.:(', '(r."note" = $1)', ':('],
    ['note=ne.":("&id=eq.2', '((r."note" <> $1) AND (r."id" = $2))', ':(', '2'],
    ['meta=cs.{"a": "b & c"}&id=eq.2', '((r."meta" @> $1) AND (r."id" = $2))', '{"a": "b & c"}', '2'],
  ])('%s', (text, ...expected) => {
    expect(sqlOf(readFilterText(text))).toEqual(expected)
  })

  test.each([
    ['age', 'is not a comparison such as age=gt.25'],
    ['age=25', 'write age=eq.25'],
    ['age=gr.25', 'did you mean gt?'],
    ['age=is.3', "'is' takes null, true, false, unknown"],
    ['id=in.1', 'write id=in.(1,2,3)'],
    ['a b=eq.1', 'is not a comparison'],
    ['a->>b->c=eq.1', 'goes on after ->>'],
    ['a=eq.\0', 'zero byte'],
    ['age=__proto__.1', 'is no comparison'],
    ['age=constructor.1', 'is no comparison'],
    ['or=(a b.eq.1)', 'is not a comparison such as age.gt.25'],
    // What comes after would be a part of the value: of a delete, all other rows.
    ['note=ne.:(&id=eq.2', 'a bracket or quote that does not end: "(&id=eq.2"'],
    ['note=ne."a&id=eq.2', 'stands in double quotes'],
    ['and=(note.ne.:(,id.eq.2)', 'a bracket or quote that does not end: "(,id.eq.2"'],
    ['or=(a.eq.1),(b.eq.2)', 'is not a comparison such as age.gt.25'],
    [`or=${'(or'.repeat(40)}(a.eq.1)${')'.repeat(40)}`, 'more than 32 brackets'],
    [`a=${'not.'.repeat(1000)}eq.1`, 'more than 32'],
    [Array.from({ length: 1001 }, () => 'a=eq.1').join('&'), 'more than 1000 comparisons'],
  ])('%.40s is refused', (text, message) => {
    expect(() => readFilterText(text)).toThrow(message)
  })
})

describe('object', () => {
  test.each<[where: unknown, sql: string, ...values: SqlValue[]]>([
    [{}, 'TRUE'],
    [{ name: 'Bob' }, '(r."name" = $1)', 'Bob'],
    [{ age: { gt: 25, lte: 65 } }, '((r."age" > $1) AND (r."age" <= $2))', '25', '65'],
    [{ id: [1, 2] }, '(r."id" = ANY($1))', '{"1","2"}'],
    [{ a: null, b: { ne: null }, c: { is: true } }, '((r."a" IS NULL) AND (r."b" IS NOT NULL) AND (r."c" IS TRUE))'],
    [{ or: [{ a: 1 }, { not: { b: 2 } }] }, '((r."a" = $1) OR NOT (r."b" = $2))', '1', '2'],
    [{ or: [] }, 'FALSE'],
    [{ tags: { contains: ['a"b\\', null] } }, '(r."tags" @> $1)', '{"a\\"b\\\\",NULL}'],
    [{ 'meta->>lang': 'de' }, `((r."meta"->>E'lang') = $1)`, 'de'],
    [{ age: { not: { eq: 3 } } }, 'NOT ((r."age" = $1))', '3'],
  ])('%j', (where, ...expected) => {
    expect(sqlOf(readWhere(where))).toEqual(expected)
  })

  test.each([
    [3, 'is not an object'],
    [{ or: { a: 1 } }, 'filter.where.or: is not a list of conditions'],
    [{ age: {} }, 'filter.where.age: is empty'],
    [{ age: { gth: 1 } }, 'did you mean gt'],
    [{ age: { in: 3 } }, 'filter.where.age.in: takes a list'],
    [{ age: { is: 3 } }, 'filter.where.age.is: takes null'],
    [{ 'a; DROP TABLE b': 1 }, 'is not a column'],
    [{ a: 'x\0' }, 'zero byte'],
    [nest(100, (inner) => ({ not: inner }), { a: 1 }), 'lies more than 32 deep'],
    [{ a: nest(100_000, (inner) => ({ not: inner }), 1) }, 'lies more than 32 deep'],
    [{ a: nest(100_000, (inner) => [inner], 1) }, 'deep'],
    [{ a: { eq: nest(1_000_000, (inner) => ({ b: inner }), 1) } }, 'deep'],
  ])('%.40j is refused', (where, message) => {
    expect(() => readWhere(where)).toThrow(message)
  })
})

function nest(depth: number, around: (inner: unknown) => unknown, value: unknown): unknown {
  let nested = value
  for (let i = 0; i < depth; i++) nested = around(nested)
  return nested
}

/** SQL as it may be: names in quotes, keys of JSON, what stands for values, and a few words. Nothing that came in stands in it bare. */
const safeSql =
  /^(?:r\."(?:[^"\0]|"")+"|->>?(?:-?\d{1,9}|E'(?:[^'\\\0]|''|\\\\)*')|\$\d+|= ANY|ILIKE|LIKE|IS (?:NULL|NOT NULL|TRUE|FALSE|UNKNOWN)|AND|OR|NOT|TRUE|FALSE|@>|<@|&&|<>|[<>]=?|[=() ])*$/u

/** Reads a filter and makes SQL of it: safe SQL with every value bound, or an error that says where. */
function check(read: () => Condition): void {
  const bindings = new Bindings()
  let sql: string
  try {
    sql = conditionSql(read(), bindings)
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    expect(error.reason).toBe('VALIDATION')
    return
  }
  expect(sql).toMatch(safeSql)
  // Without names and keys, what is left of the values is one place for each, in order.
  const places = sql.replaceAll(/"(?:[^"]|"")+"|E'(?:[^'\\]|''|\\\\)*'/g, '').match(/\$\d+/g) ?? []
  expect(places).toEqual(bindings.values.map((_, i) => `$${i + 1}`))
  for (const value of bindings.values) expect(value).toBeTypeOf('string')
}

const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.string())
const nasty = fc.constantFrom(`'`, `"`, '""', '\\', '\0', '$1', ';', '--', '/*', `'; DROP TABLE users --`, `\\'`, '\u2019', '\ud800')
const name = fc.oneof(
  fc.constantFrom('age', 'name', 'über', '_x', 'meta->>lang', 'a->0->b', 'a->-1', '"q""x"', `a->"it's"`, `a->>"\\"`, 'and', 'or', 'not'),
  anyText,
)
const comparison = fc.constantFrom(...Object.keys(comparisons), 'neq', 'cs', 'cd', 'ov', 'not', 'and', 'constructor', '__proto__')
const pieces = fc.constantFrom(
  '=',
  '>',
  '<=',
  '<>',
  '!=',
  '.',
  ',',
  '(',
  ')',
  '&',
  '{',
  '}',
  '"',
  'in.(',
  'not.',
  'and=(',
  'or=(',
  'or(',
  '->',
)
const operand = fc.oneof(anyText, nasty, fc.constantFrom('null', 'TRUE', '(1,2)', '("a,b",c)', '{1,2}', '25'))
const term = fc
  .tuple(name, fc.constantFrom('=', '='), comparison, operand)
  .map(([column, sign, by, value]) => `${column}${sign}${by}.${value}`)
const group = fc.array(fc.tuple(name, comparison, operand).map((parts) => parts.join('.'))).map((list) => `or=(${list.join(',')})`)
const soup = fc.array(fc.oneof(pieces, name, comparison, operand, nasty), { maxLength: 30 }).map((parts) => parts.join(''))
const filterText = fc.oneof(
  anyText,
  soup,
  term,
  group,
  fc.array(fc.oneof(term, group), { maxLength: 5 }).map((terms) => terms.join('&')),
)

const { where } = fc.letrec((tie) => ({
  value: fc.oneof(fc.jsonValue(), anyText, nasty, fc.constantFrom(null, true, 'null', [], {})),
  column: fc.oneof(tie('value'), fc.dictionary(comparison, fc.oneof(tie('value'), tie('column')), { maxKeys: 3 })),
  where: fc.oneof(
    { depthSize: 'small' },
    fc.dictionary(name, tie('column'), { maxKeys: 4 }),
    fc.record({ or: fc.array(tie('where')), and: fc.array(tie('where')), not: tie('where') }, { requiredKeys: [] }),
    tie('value'),
  ),
}))

test.each<[where: unknown, said: boolean | undefined]>([
  [{}, true],
  [{ and: [] }, true],
  [{ or: [{ id: 1 }, {}] }, true],
  [{ not: { or: [] } }, true],
  [{ and: [{ or: [{}] }, { not: { and: [{ id: 1 }, { or: [] }] } }] }, true],
  [{ or: [] }, false],
  [{ not: {} }, false],
  [{ id: 1, or: [] }, false],
  [{ id: 1, and: [] }, undefined],
  [{ or: [{ id: 1 }, { or: [] }] }, undefined],
  [{ not: { id: 1 } }, undefined],
])('%j says of every row: %s', (where, said) => {
  expect(saysOfAll(readWhere(where))).toBe(said)
})

test('any text is safe SQL with its values bound, or an error of the caller', () => {
  fc.assert(
    fc.property(filterText, (text) => check(() => readFilterText(text))),
    { numRuns: 3000 },
  )
})

test('any object is safe SQL with its values bound, or an error of the caller', () => {
  fc.assert(
    fc.property(where, (object) => check(() => readWhere(object))),
    { numRuns: 3000 },
  )
})

test('a value of a comparison is bound as it is', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
      (value) => {
        expect(sqlOf(readWhere({ name: value }))).toEqual(['(r."name" = $1)', value])
        const escaped = value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')
        expect(sqlOf(readFilterText(`name=eq."${escaped}"`))).toEqual(['(r."name" = $1)', value])
      },
    ),
  )
})
