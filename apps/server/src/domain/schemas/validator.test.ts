import { describe, expect, test } from 'vitest'
import { Budget } from './budget.ts'
import { checkDefinition } from './definition.ts'
import { Validator } from './validator.ts'

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const wrong = (definition: unknown) => checkDefinition(json(definition)).problems.map(({ path }) => path)
const failing = (definition: unknown, payload: unknown) =>
  new Validator(JSON.stringify(definition)).problems(json(payload), new Budget()).map(({ path }) => path)

describe('definitions', () => {
  test.each<[string, unknown, string[]]>([
    ['is fine', { type: 'object', properties: { a: { $ref: '#/$defs/a~1b' } }, $defs: { 'a/b': true }, 'x-owner': 'me' }, []],
    ['is no object', true, ['definition']],
    ['has a keyword misspelt', { propertys: {} }, ['definition.propertys']],
    ['has one of its own', { 'x-propertys': {} }, []],
    ['has a value of the wrong kind', { properties: { a: { maximum: 'q' } } }, ['definition.properties.a.maximum']],
    ['leads elsewhere', { items: { $ref: 'https://example.com/a.json' } }, ['definition.items.$ref']],
    ['leads to a file', { $ref: 'file:///etc/passwd' }, ['definition.$ref']],
    ['leads nowhere', { items: { $ref: '#/$defs/a' } }, ['definition.items.$ref']],
    ['leads to what is no schema', { required: ['a'], items: { $ref: '#/required' } }, ['definition.items.$ref']],
    ['has references that are not known', { $dynamicRef: '#a' }, ['definition.$dynamicRef']],
    ['is of another draft', { $schema: 'http://json-schema.org/draft-07/schema#' }, ['definition.$schema']],
    ['has look-around', { items: { pattern: '(?=a)b' } }, ['definition.items.pattern']],
    ['has a pattern that is large when written out', { pattern: '((a{1000}){1000}){1000}' }, ['definition.pattern']],
    ['has a pattern that takes long to compile', { pattern: `(${'a'.repeat(900)}){1000}` }, ['definition.pattern']],
    [
      'has patterns that are large together',
      { allOf: Array.from({ length: 6 }, (_, i) => ({ pattern: `[a-f]{1000}[0-9]{1000}[g-z]{900}${i}[a-z]{999}` })) },
      ['definition'],
    ],
    ['has many patterns of a common size', { allOf: Array.from({ length: 200 }, (_, i) => ({ pattern: `^[a-z]{1,64}-${i}$` })) }, []],
    ['has a wrong pattern of names', { patternProperties: { '(': true } }, ['definition.patternProperties["("]']],
    ['has a property named as prototypes are', JSON.parse('{"properties":{"__proto__":{}}}'), ['definition.properties.__proto__']],
    ['has an enumeration of nothing', { enum: [] }, ['definition']],
    ['is too large', { description: 'x'.repeat(70_000) }, ['definition']],
    ['has too many schemas', { anyOf: Array.from({ length: 600 }, () => ({})) }, ['definition']],
  ])('one that %s', (_, definition, paths) => {
    expect(wrong(definition)).toEqual(paths)
  })

  test('one whose own keywords look like schemas', () => {
    const own = { 'x-a': { $id: 'a', type: 'string' }, 'x-b': { $id: 'a', type: 'integer' } }
    expect(wrong(own)).toEqual([])
    expect(failing(own, 1)).toEqual([])
  })
  test('one that is too deep, has too large a number, or is not JSON', () => {
    const problems = (text: string) => checkDefinition(new TextEncoder().encode(text)).problems
    expect(problems(`${'{"items":'.repeat(5000)}{}${'}'.repeat(5000)}`)).toMatchObject([{ message: 'has more than 32 levels' }])
    expect(problems('{"minimum":1e400}')).toMatchObject([{ path: 'definition' }])
    expect(problems('{"type":')).toMatchObject([{ path: 'definition', message: expect.stringContaining('is not JSON') }])
  })
})

describe('payloads', () => {
  const order = {
    type: 'object',
    required: ['customer'],
    properties: {
      customer: {
        type: 'object',
        required: ['id'],
        properties: { id: { type: 'integer' }, tags: { uniqueItems: true, items: { type: 'string' } } },
      },
      kind: { enum: ['a', 'b'] },
      'odd name': { const: 1 },
    },
    additionalProperties: false,
  }
  test.each<[unknown, string[]]>([
    [{ customer: { id: 1, tags: ['a', 'b'] }, kind: 'a' }, []],
    [{}, ['payload.customer']],
    [{ customer: {} }, ['payload.customer.id']],
    [{ customer: { id: 'x', tags: ['a', 1, 'a'] } }, ['payload.customer.id', 'payload.customer.tags[1]', 'payload.customer.tags']],
    [{ customer: { id: 1 }, kind: 'c', 'odd name': 2, more: 1 }, ['payload.more', 'payload.kind', 'payload["odd name"]']],
    [[], ['payload']],
  ])('%j is told of by its paths', (payload, paths) => {
    expect(failing(order, payload)).toEqual(paths)
  })

  test('equal items are found whatever the order of their properties', () => {
    expect(
      failing({ uniqueItems: true }, [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ]),
    ).toEqual(['payload'])
    expect(failing({ uniqueItems: true }, [1, '1', [1], { a: 1 }])).toEqual([])
  })

  test('a pattern of a common size costs many payloads little', () => {
    const validator = new Validator(
      JSON.stringify({ properties: { id: { pattern: '^[A-Za-z0-9_-]{1,64}$' }, at: { pattern: '^\\d{4}-\\d\\d-\\d\\d$' } } }),
    )
    const budget = new Budget()
    const payload = json({ id: 'order_01k6q9x2v8fzt3', at: '2026-01-01', more: 'something that makes it a message of a common size' })
    for (let i = 0; i < 10_000; i++) expect(validator.problems(payload, budget)).toEqual([])
  })

  test.each([
    [0.01, 19.99, true],
    [0.1, 0.3, true],
    [0.01, 4.35, true],
    [0.01, 19.995, false],
    [1, 1e-10, false],
    [3, -9, true],
    [1e-300, 1e300, false],
    [7, 0, true],
    [10, 9_007_199_254_740_990, true],
  ])('of %d, is %d a multiple: %s', (multipleOf, value, fits) => {
    expect(failing({ multipleOf }, value)).toEqual(fits ? [] : ['payload'])
  })

  test('patterns are those of JavaScript that RE2 has', () => {
    expect(failing({ pattern: '^\\u00e9\\/\\d+$' }, 'é/12')).toEqual([])
    expect(failing({ pattern: 'b' }, 'abc')).toEqual([])
  })

  test.each<[object, unknown]>([
    [{ prefixItems: [{ type: 'integer' }], contains: { type: 'integer' } }, []],
    [{ prefixItems: [true, true, { type: 'integer' }], uniqueItems: true }, [1, 1]],
    [{ prefixItems: [true, true, { type: 'integer' }], contains: { type: 'string' } }, [1, 2]],
    [{ prefixItems: [true, { type: 'integer' }], allOf: [{ maxItems: 0 }] }, [1]],
    [{ prefixItems: [true, { type: 'integer' }], unevaluatedItems: false }, [1, 2, 3]],
    [{ prefixItems: [{ type: 'integer' }], items: { type: 'string' } }, ['x', 'y']],
  ])('lists shorter than their first items are checked: %j', (schema, payload) => {
    expect(failing(schema, payload)).not.toEqual([])
    expect(failing({ not: schema }, payload)).toEqual([])
  })
  test('lists with first items that fit', () => {
    const schema = { prefixItems: [{ type: 'integer' }, true], items: { type: 'string' }, contains: { const: 1 } }
    expect(failing(schema, [1])).toEqual([])
    expect(failing(schema, [1, null, 'x'])).toEqual([])
    expect(failing(schema, ['x', 1, 2])).toEqual(['payload[0]', 'payload[2]'])
  })
  test('format says something to people alone', () => {
    expect(failing({ format: 'email' }, 'nobody')).toEqual([])
  })

  describe('hostile ones end soon', () => {
    const nested = (levels: number) => {
      let value: unknown = {}
      for (let i = 0; i < levels; i++) value = { a: value }
      return value
    }
    test.each<[string, unknown, unknown, string]>([
      [
        'a schema that is applied twice at each level',
        { properties: { a: { allOf: [{ $ref: '#' }, { $ref: '#' }] } } },
        nested(80),
        'takes too long',
      ],
      ['a schema that refers to itself in place', { $ref: '#' }, 1, 'nested too deeply'],
      [
        'many parts for many items',
        { items: { allOf: Array.from({ length: 400 }, () => ({ minimum: 0 })) } },
        Array(3000).fill(1),
        'takes too long',
      ],
      ['a pattern that others need for ever for', { pattern: '^(a+)+$' }, `${'a'.repeat(5000)}b`, 'must match'],
      ['a large pattern for a large text', { pattern: '(a|ab){500}$' }, 'a'.repeat(1_000_000), 'takes too long'],
      ['a large pattern for many texts', { items: { pattern: '^(a|ab){100,500}$' } }, Array(5000).fill('a'.repeat(200)), 'takes too long'],
      [
        'large patterns for many names',
        { patternProperties: { '(a|ab){500}$': true, '(a|ac){500}$': true } },
        Object.fromEntries(Array.from({ length: 5000 }, (_, i) => ['a'.repeat(200) + i, 1])),
        'takes too long',
      ],
    ])('%s', (_, definition, payload, message) => {
      expect(checkDefinition(json(definition)).problems).toEqual([])
      const problems = new Validator(JSON.stringify(definition)).problems(json(payload), new Budget())
      expect(problems).toMatchObject([{ path: 'payload', message: expect.stringContaining(message) }])
    })

    test('a value that is deep', () => {
      const payload = new TextEncoder().encode('['.repeat(300_000) + ']'.repeat(300_000))
      const problems = new Validator('{"items":{"$ref":"#"}}').problems(payload, new Budget())
      expect(problems).toMatchObject([{ path: 'payload', message: 'is nested too deeply to be checked' }])
    })

    test('a thousand wrong fields', () => {
      expect(
        failing({ additionalProperties: false }, Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`p${i}`, i]))),
      ).toHaveLength(16)
    })
  })
})
