import { type Case, collect, failureOf } from '../kit.ts'

export const kvCases: readonly Case[] = [
  {
    name: 'keys are set, read, listed and deleted',
    expected: { value: { theme: 'dark' }, bytes: [1, 2], absent: true, exists: [true, false], keys: ['a/1', 'a/2'], deleted: true },
    async run(kit) {
      const kv = kit.client().kv('settings')
      await kv.set('a/1', { theme: 'dark' })
      await kv.set('a/2', new Uint8Array([1, 2]))
      await kv.set('b', 1)
      const value = await kv.get('a/1')
      const bytes = [...((await kv.get('a/2')) as Uint8Array)]
      const absent = (await kv.get('none')) === undefined
      const exists = [await kv.exists('b'), await kv.exists('c')]
      const keys = await collect(kv.keys({ prefix: 'a/' }))
      await kv.delete('b')
      return { value, bytes, absent, exists, keys, deleted: !(await kv.exists('b')) }
    },
  },
  {
    name: 'a write on a condition that does not hold is a conflict',
    expected: {
      revision: true,
      stale: { name: 'ConflictError', code: 'CONFLICT', statusCode: 409 },
      taken: { name: 'ConflictError', code: 'ALREADY_EXISTS', statusCode: 409 },
    },
    async run(kit) {
      const kv = kit.client().kv('settings')
      const { revision } = await kv.set('k', 1)
      const next = await kv.set('k', 2, { ifRevision: revision })
      return {
        revision: next.revision > revision,
        stale: await failureOf(kv.set('k', 3, { ifRevision: revision })),
        taken: await failureOf(kv.set('k', 3, { ifAbsent: true })),
      }
    },
  },
]
