import { expect } from 'vitest'
import type { SchemaRecord } from '../schema-port.ts'
import type { Case, Harness } from './harness.ts'

const stream = { kind: 'stream', name: 'orders' } as const
const queue = { kind: 'queue', name: 'orders' } as const

function add(t: Harness, version: number, change: Partial<SchemaRecord> = {}, scope = t.scope) {
  const schema = { name: 'order', version, definition: `{"title":"${version}"}`, compatibility: 'full' as const, ...change }
  return t.store.schemas.add(scope, schema, t.clock.now())
}

/** Schemas: versions stay as they were, and belong to one namespace; what has one keeps it. */
export const schemaCases: readonly Case[] = [
  {
    name: 'keeps each version of a schema, for its tenant and namespace alone',
    async run(t) {
      expect([await add(t, 1), await add(t, 2), await add(t, 2, { definition: '{}' })]).toEqual([true, true, false])
      await t.store.schemas.setCompatibility(t.scope, 'order', 2, 'none')
      await t.reopen()
      const createdAt = t.clock.now()
      const first = { name: 'order', version: 1, definition: '{"title":"1"}', compatibility: 'full', createdAt }
      const second = { name: 'order', version: 2, definition: '{"title":"2"}', compatibility: 'none', createdAt }
      expect(await t.store.schemas.versions(t.scope, 'order')).toEqual([first, second])
      expect(await t.store.schemas.get(t.scope, 'order')).toEqual(second)
      expect(await t.store.schemas.get(t.scope, 'order', 1)).toEqual(first)
      expect(await t.store.schemas.get(t.scope, 'order', 3)).toBeUndefined()
      for (const scope of [t.otherTenant, t.otherNamespace]) {
        expect(await t.store.schemas.get(scope, 'order')).toBeUndefined()
        expect(await t.store.schemas.list(scope, { limit: 10, after: '' })).toEqual([])
        expect(await t.store.schemas.attach(scope, stream, 'order', 0, t.clock.now())).toBe(false)
        expect(await t.store.schemas.delete(scope, 'order')).toBe('missing')
      }
    },
  },
  {
    name: 'lists the latest version of each schema by name',
    async run(t) {
      for (const name of ['b', 'a', 'c']) for (const version of [1, 2]) await add(t, version, { name })
      const pageAfter = async (after: string) =>
        (await t.store.schemas.list(t.scope, { limit: 2, after })).map(({ name, version }) => [name, version])
      expect(await pageAfter('')).toEqual([
        ['a', 2],
        ['b', 2],
      ])
      expect(await pageAfter('b')).toEqual([['c', 2]])
    },
  },
  {
    name: 'a stream and a queue of one name each have their schema, of the version that was meant',
    async run(t) {
      const { schemas } = t.store
      await add(t, 1)
      await add(t, 1, { name: 'other' })
      const attachedAt = t.clock.now()
      expect(await schemas.attach(t.scope, stream, 'order', 0, attachedAt)).toBe(true)
      expect(await schemas.attach(t.scope, queue, 'order', 1, attachedAt)).toBe(true)
      expect(await schemas.attach(t.scope, queue, 'order', 2, attachedAt)).toBe(false)
      expect(await schemas.attach(t.scope, queue, 'none', 0, attachedAt)).toBe(false)
      await add(t, 2)
      await t.reopen()
      expect(await t.store.schemas.attachments(t.scope)).toEqual([
        { ...stream, schema: 'order', version: 0, current: 2, attachedAt },
        { ...queue, schema: 'order', version: 1, current: 1, attachedAt },
      ])
      expect(await t.store.schemas.attach(t.scope, queue, 'other', 0, attachedAt + 1)).toBe(true)
      expect(await t.store.schemas.attachments(t.scope)).toContainEqual({
        ...queue,
        schema: 'other',
        version: 0,
        current: 1,
        attachedAt: attachedAt + 1,
      })
      expect(await t.store.schemas.attachments(t.otherNamespace)).toEqual([])
    },
  },
  {
    name: 'a schema is deleted when nothing has it any more',
    async run(t) {
      const { schemas } = t.store
      await add(t, 1)
      await add(t, 2)
      await schemas.attach(t.scope, stream, 'order', 0, t.clock.now())
      expect(await schemas.delete(t.scope, 'order')).toBe('attached')
      expect([await schemas.detach(t.otherNamespace, stream), await schemas.detach(t.scope, stream)]).toEqual([false, true])
      expect(await schemas.detach(t.scope, stream)).toBe(false)
      expect([await schemas.delete(t.scope, 'order'), await schemas.delete(t.scope, 'order')]).toEqual(['deleted', 'missing'])
      expect(await schemas.versions(t.scope, 'order')).toEqual([])
    },
  },
  {
    name: 'nothing is attached to a schema that is being deleted',
    async run(t) {
      const { schemas } = t.store
      for (let i = 0; i < 10; i++) {
        await add(t, 1)
        const [attached, deleted] = await Promise.all([
          schemas.attach(t.scope, stream, 'order', 0, t.clock.now()),
          schemas.delete(t.scope, 'order'),
        ])
        expect([attached, deleted]).toEqual(attached ? [true, 'attached'] : [false, 'deleted'])
        await schemas.detach(t.scope, stream)
      }
    },
  },
]
