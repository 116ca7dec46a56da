import { describe, expect, test } from 'vitest'
import { incompatibilities } from './compatibility.ts'
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

describe('compatibility', () => {
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
