import { type Case, failureOf } from '../kit.ts'

export const vectorCases: readonly Case[] = [
  {
    name: 'vectors come back as they went in, and are found by nearness, by metadata and by words',
    expected: {
      ids: ['a', 'b'],
      stored: { vector: [1, 0.5], text: 'red apple', metadata: { kind: 'fruit', size: 7 } },
      nearest: ['a', 'b'],
      filtered: ['b'],
      hybrid: 'b',
      count: 2,
      deleted: 1,
      listed: ['fruits'],
    },
    async run(kit) {
      const mr = kit.client()
      const fruits = mr.vectors<{ kind: string; size: number }>('fruits')
      await fruits.create({ dimension: 2 })
      const ids = await fruits.upsert([
        { id: 'a', vector: [1, 0.5], text: 'red apple', metadata: { kind: 'fruit', size: 7 } },
        { id: 'b', vector: new Float32Array([-1, 0]), text: 'round stone', metadata: { kind: 'rock', size: 9 } },
      ])
      const { vector, text, metadata } = (await fruits.get('a'))!
      const found = async (search: Parameters<typeof fruits.search>[0]) => (await fruits.search(search)).map(({ id }) => id)
      const near = new Float32Array([1, 0])
      return {
        ids,
        stored: { vector: [...vector!], text, metadata },
        nearest: await found({ vector: near }),
        filtered: await found({ vector: near, where: { size: { gt: 8 } } }),
        hybrid: (await fruits.hybridSearch({ text: 'stone', vector: near, vectorWeight: 0 }))[0]!.id,
        count: await fruits.count(),
        deleted: await fruits.delete('a'),
        listed: (await mr.vectorCollections.list()).items.map(({ name }) => name),
      }
    },
  },
  {
    name: 'a vector that does not fit its collection is refused by its place',
    expected: {
      dimension: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['items[1].vector'] },
      number: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, fields: ['items[0].vector[1]'] },
      missing: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'collection' },
    },
    async run(kit) {
      const points = kit.client().vectors('points')
      await points.create({ dimension: 2 })
      return {
        dimension: await failureOf(points.upsert([{ vector: [1, 2] }, { vector: [1] }])),
        number: await failureOf(points.upsert({ vector: [1, Number.NaN] })),
        missing: await failureOf(
          kit
            .client()
            .vectors('nowhere')
            .search({ vector: [1] }),
        ),
      }
    },
  },
]
