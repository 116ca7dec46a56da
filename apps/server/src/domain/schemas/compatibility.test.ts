import { describe, expect, test } from 'vitest'
import { Budget } from './budget.ts'
import { incompatibilities } from './compatibility.ts'
import { Validator } from './validator.ts'
import type { SchemaObject } from './walk.ts'

const object = (properties: object, more: object = {}): SchemaObject => ({ type: 'object', properties, ...more })
const id = { type: 'integer' }
const name = { type: 'string' }

/** What a change breaks: the paths, backward and forward. */
const changes: readonly [what: string, before: SchemaObject, after: SchemaObject, backward: string[], forward: string[]][] = [
  ['an optional property is added', object({ id }), object({ id, name }), [], []],
  ['a required property is added', object({ id }), object({ id, name }, { required: ['name'] }), ['required'], []],
  ['a required property becomes optional', object({ id }, { required: ['id'] }), object({ id }), [], ['required']],
  ['a property is removed', object({ id, name }), object({ id }), [], []],
  [
    'a property is removed from a closed object',
    object({ id, name }, { additionalProperties: false }),
    object({ id }, { additionalProperties: false }),
    ['properties.name'],
    [],
  ],
  ['an object is closed', object({ id }), object({ id }, { additionalProperties: false }), ['additionalProperties'], []],
  ['a type is changed', object({ id }), object({ id: name }), ['properties.id.type'], ['properties.id.type']],
  ['a type is widened', object({ id }), object({ id: { type: 'number' } }), [], ['properties.id.type']],
  ['null is allowed', object({ id }), object({ id: { type: ['integer', 'null'] } }), [], ['properties.id.type']],
  ['a value is added', object({ k: { enum: ['a'] } }), object({ k: { enum: ['a', 'b'] } }), [], ['properties.k.enum']],
  ['a value is removed', object({ k: { enum: ['a', 'b'] } }), object({ k: { enum: ['a'] } }), ['properties.k.enum'], []],
  ['values are limited', object({ k: name }), object({ k: { type: 'string', enum: ['a'] } }), ['properties.k.enum'], []],
  ['a bound is tightened', object({ id: { minimum: 1 } }), object({ id: { minimum: 2 } }), ['properties.id.minimum'], []],
  ['a length is bounded', object({ name }), object({ name: { type: 'string', maxLength: 5 } }), ['properties.name.maxLength'], []],
  ['items are changed', { type: 'array', items: id }, { type: 'array', items: name }, ['items.type'], ['items.type']],
  ['an alternative is added', { anyOf: [id, name] }, { anyOf: [name, { type: 'null' }, id] }, [], ['anyOf']],
  ['a schema becomes an alternative', id, { anyOf: [name, { type: 'number' }] }, [], ['anyOf']],
  ['what cannot be compared is changed', { not: id }, { not: name }, ['not'], ['not']],
  ['what cannot be compared stays', { not: id, oneOf: [id] }, { not: id, oneOf: [id], title: 'x' }, [], []],
  [
    'a definition that is referred to from there is changed',
    { oneOf: [{ $ref: '#/$defs/a' }], $defs: { a: id } },
    { oneOf: [{ $ref: '#/$defs/a' }], $defs: { a: name } },
    ['oneOf'],
    ['oneOf'],
  ],
  [
    'a definition is moved',
    object({ a: { $ref: '#/$defs/x' } }, { $defs: { x: id } }),
    object({ a: { $ref: '#/$defs/y' } }, { $defs: { y: id } }),
    [],
    [],
  ],
  [
    'a list that refers to itself is changed at its end',
    { anyOf: [object({ next: { $ref: '#' }, v: id }), { type: 'null' }] },
    { anyOf: [object({ next: { $ref: '#' }, v: name }), { type: 'null' }] },
    ['anyOf'],
    ['anyOf'],
  ],
  [
    'a list that refers to itself takes more',
    { anyOf: [object({ next: { $ref: '#' }, v: id }), { type: 'null' }] },
    { anyOf: [object({ next: { $ref: '#' }, v: { type: 'number' } }), { type: 'null' }] },
    [],
    ['anyOf'],
  ],
]

/** What a version before takes and the new one would not, so that it is refused: the path, and a payload that shows it. */
const unsound: readonly [what: string, before: SchemaObject, after: SchemaObject, path: string, payload: unknown][] = [
  [
    'patterns of names are removed from a closed object',
    { patternProperties: { '^x': name }, additionalProperties: false },
    { additionalProperties: false },
    'patternProperties["^x"]',
    { x1: 'a' },
  ],
  [
    'a property is described otherwise than the pattern of its name',
    { patternProperties: { '^b': name } },
    { patternProperties: { '^b': name }, properties: { b: id } },
    'properties.b.type',
    { b: 'x' },
  ],
  [
    'a required property gets a type',
    { type: 'object', required: ['a'] },
    object({ a: id }, { required: ['a'] }),
    'properties.a.type',
    { a: 'x' },
  ],
  [
    'a property is removed from an object without others',
    object({ a: true }, { unevaluatedProperties: false }),
    object({}, { unevaluatedProperties: false }),
    'properties.a',
    { a: 1 },
  ],
  [
    'a part is removed from an object without others',
    { allOf: [{ properties: { a: true } }], unevaluatedProperties: false },
    { unevaluatedProperties: false },
    'allOf',
    { a: 1 },
  ],
  [
    'an item is removed from a list without others',
    { prefixItems: [true, true], unevaluatedItems: false },
    { prefixItems: [true], unevaluatedItems: false },
    'prefixItems',
    [1, 2],
  ],
  ['there must be one of what need not be there', { contains: name, minContains: 0 }, { contains: name }, 'minContains', []],
  [
    'what a reference beside other keywords leads to is changed',
    { $ref: '#/$defs/base', maxProperties: 5, $defs: { base: object({ a: id }) } },
    { $ref: '#/$defs/base', maxProperties: 5, $defs: { base: object({ a: name }) } },
    '$ref.properties.a.type',
    { a: 1 },
  ],
  ['a constant stands beside an enumeration', { enum: [1, 2] }, { enum: [1, 2], const: 1 }, 'const', 2],
]

describe('compatibility', () => {
  test.each(unsound)('%s, which refuses what was fine', (_, before, after, path, payload) => {
    const fits = (schema: SchemaObject) => {
      const bytes = new TextEncoder().encode(JSON.stringify(payload))
      return new Validator(JSON.stringify(schema)).problems(bytes, new Budget()).length === 0
    }
    expect([fits(before), fits(after)]).toEqual([true, false])
    expect(incompatibilities('backward', before, 1, after)).toMatchObject([{ path: `definition.${path}` }])
  })

  test('what is added to an object without others is allowed', () => {
    const before = object({ a: id }, { allOf: [{ required: ['a'] }], unevaluatedProperties: false })
    expect(incompatibilities('backward', before, 1, { ...before, properties: { a: id, b: name } })).toEqual([])
  })

  test('anything, and what refers to itself, are compared', () => {
    expect(incompatibilities('full', {}, 1, { items: { $ref: '#' } })).toEqual([])
    expect(incompatibilities('full', {}, 1, { additionalProperties: { $ref: '#' } })).toEqual([])
  })

  test('circles of different lengths end', () => {
    const circle = (length: number): SchemaObject => ({
      $ref: '#/$defs/0',
      $defs: Object.fromEntries(Array.from({ length }, (_, i) => [String(i), { items: { $ref: `#/$defs/${(i + 1) % length}` } }])),
    })
    for (const [a, b] of [
      [89, 97],
      [240, 241],
    ] as const)
      expect(incompatibilities('backward', circle(a), 1, circle(b)).length).toBeLessThan(2)
  })

  test.each(changes)('%s', (_, before, after, backward, forward) => {
    const paths = (list: readonly { readonly path: string }[]) => list.map(({ path }) => path)
    const under = (list: readonly string[]) => list.map((path) => `definition.${path}`)
    expect(paths(incompatibilities('backward', before, 1, after))).toEqual(under(backward))
    expect(paths(incompatibilities('forward', before, 1, after))).toEqual(under(forward))
    expect(paths(incompatibilities('full', before, 1, after))).toEqual(under([...backward, ...forward]))
    expect(incompatibilities('none', before, 1, after)).toEqual([])
  })

  test('a schema is compatible with itself, whatever it is', () => {
    for (const [, before, after] of changes) {
      expect(incompatibilities('full', before, 1, before)).toEqual([])
      expect(incompatibilities('full', after, 1, after)).toEqual([])
    }
  })

  test('the message says what each version has', () => {
    expect(incompatibilities('backward', object({ id }), 3, object({ id: name }))).toEqual([
      { path: 'definition.properties.id.type', message: 'is integer in version 3 and string in this one (not backward compatible)' },
    ])
  })

  test('long enumerations are not compared each with each', () => {
    const values = Array.from({ length: 20_000 }, (_, i) => ({ i, a: 1 }))
    const turned = values.map(({ i, a }) => ({ a, i })).reverse()
    expect(incompatibilities('full', { enum: values }, 1, { enum: turned })).toEqual([])
    expect(incompatibilities('backward', { enum: values }, 1, { enum: turned.slice(1) })).toMatchObject([{ path: 'definition.enum' }])
  })

  test('alternatives that are nested in alternatives are given up on', () => {
    let before: SchemaObject = { type: 'integer' }
    for (let i = 0; i < 14; i++)
      before = {
        anyOf: [
          { type: 'array', items: before },
          { type: 'array', items: before, title: 'other' },
        ],
      }
    const after = JSON.parse(JSON.stringify(before).replaceAll('integer', 'string')) as SchemaObject
    expect(incompatibilities('backward', before, 1, after)).toHaveLength(1)
  })
})
