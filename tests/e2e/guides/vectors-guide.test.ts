import { ConflictError, type NewVector, NotFoundError, ValidationError } from '@millrace/client'
import { pgvectorPrograms, startPgvector, whyMissing } from '@millrace/dev'
import { afterAll, describe, expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'

const given = process.env.MILLRACE_TEST_PGVECTOR_URL
const missing = given ? undefined : whyMissing(pgvectorPrograms)
const postgres = missing || given ? undefined : await startPgvector({ fsync: false })
afterAll(() => postgres?.stop())
const url = given ?? postgres?.url
const backends = [
  { name: 'pglite', fixture: useServer(), missing: undefined },
  { name: 'postgres with pgvector', fixture: useServer({ flags: url ? ['--tables', url] : [] }), missing },
]

/** What a call was refused with. */
function rejection(call: Promise<unknown>): Promise<Error> {
  return call.then(
    (value) => expect.fail(`It was answered with ${JSON.stringify(value)}`),
    (error: Error) => error,
  )
}

interface Meta {
  title: string
  category?: string
  year?: number
  draft?: boolean
  tags?: string[]
  scores?: number[]
}

/** Numbers from a seed, so that a run can be repeated. */
function randomNumbers(seed: number) {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const dimension = 1536
const random = randomNumbers(20261121)
const embedding = () => Float32Array.from({ length: dimension }, () => random() - 0.5)

describe.each(backends)('vectors on $name', { timeout: 120_000 }, ({ fixture, missing }) => {
  test('items are put in, one or many, found by nearness, by words and both, and deleted', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = fixture.client()
    const documents = mr.vectors<Meta>('documents')
    await documents.create({ dimension, language: 'english' })
    const own = embedding()
    const text = 'A test document about machine learning'
    expect(await documents.upsert({ id: 'doc_001', vector: own, text, metadata: { title: 'Test Document', category: 'tech' } })).toEqual([
      'doc_001',
    ])
    const many = Array.from({ length: 100 }, (_, i): NewVector<Meta> => {
      return {
        id: `many_${String(i).padStart(3, '0')}`,
        vector: embedding(),
        metadata: { title: `Document ${i}`, category: i % 2 ? 'tech' : 'food', year: 1950 + i },
      }
    })
    expect(await documents.upsert(many)).toEqual(many.map(({ id }) => id))
    expect(await documents.count()).toBe(101)
    expect(await documents.count({ category: 'tech' })).toBe(51)

    const found = await documents.search({ vector: own, limit: 10, where: 'category=eq.tech', threshold: 0.7 })
    expect(found).toEqual([{ id: 'doc_001', text, metadata: { title: 'Test Document', category: 'tech' }, score: expect.closeTo(1, 5) }])
    const nearest = await documents.search({ vector: own, limit: 10, where: { category: 'tech' } })
    expect(nearest).toHaveLength(10)
    expect(nearest.map(({ score }) => score)).toEqual(nearest.map(({ score }) => score).toSorted((a, b) => b - a))
    expect(new Set(nearest.map(({ metadata }) => metadata.category))).toEqual(new Set(['tech']))

    for (const fusion of ['weights', 'rrf'] as const) {
      const both = await documents.hybridSearch({
        text: 'machines learning',
        vector: embedding(),
        limit: 10,
        textWeight: 0.5,
        vectorWeight: 0.5,
        fusion,
      })
      expect(both).toHaveLength(10)
      // Found by its words alone, though other vectors are nearer.
      expect(both.slice(0, 2).map(({ id }) => id)).toContain('doc_001')
    }
    const stored = await documents.get('doc_001')
    expect(stored!.vector).toEqual(own)
    expect(await documents.delete(['doc_001', 'nobody'])).toBe(1)
    expect(await documents.get('doc_001')).toBeUndefined()
    expect(await documents.deleteWhere({ year: { lt: 2000 } })).toBe(50)
    expect(await documents.count()).toBe(50)
  })

  test('each metric has its score, with an index and without', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = fixture.client()
    const expected = { cosine: [1, 0.8, 0], l2: [1, 1 / (1 + Math.sqrt(0.4)), 1 / (1 + Math.SQRT2)], innerProduct: [1, 0.8, 0] }
    for (const metric of ['cosine', 'l2', 'innerProduct'] as const) {
      for (const index of [undefined, false] as const) {
        const points = mr.vectors(`points_${metric.toLowerCase()}_${index === false ? 'exact' : 'hnsw'}`)
        await points.create({ dimension: 2, metric, index })
        await points.upsert([
          { id: 'same', vector: [1, 0] },
          { id: 'near', vector: [0.8, 0.6] },
          { id: 'far', vector: [0, 1] },
        ])
        const found = await points.search({ vector: [1, 0], withVectors: true })
        expect(found.map(({ id }) => id)).toEqual(['same', 'near', 'far'])
        for (const [i, { score }] of found.entries()) expect(score).toBeCloseTo(expected[metric][i]!, 5)
        expect(found[1]!.vector).toEqual(new Float32Array([0.8, 0.6]))
        expect((await points.search({ vector: [1, 0], threshold: 0.6 })).map(({ id }) => id)).toEqual(['same', 'near'])
      }
    }
  })

  test('zeros have no direction: they are the least near, and spoil no other score', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = fixture.client()
    const zeros = mr.vectors('zeros')
    await zeros.create({ dimension: 2, index: false })
    await zeros.upsert([
      { id: 'zero', vector: [0, 0] },
      { id: 'same', vector: [1, 0], text: 'word' },
      { id: 'far', vector: [-3, 4], text: 'another', metadata: { title: 'a backslash: \\u0000' } },
    ])
    const scored = (found: readonly { readonly id: string; readonly score: number }[]) =>
      found.map(({ id, score }) => [id, Number(score.toFixed(3))])
    expect(scored(await zeros.search({ vector: [1, 0] }))).toEqual([
      ['same', 1],
      ['far', -0.6],
      ['zero', -1],
    ])
    expect(scored(await zeros.search({ vector: [1, 0], threshold: 0.5 }))).toEqual([['same', 1]])
    expect(scored(await zeros.search({ vector: [0, 0], threshold: 0.5 }))).toEqual([])
    expect(scored(await zeros.hybridSearch({ vector: [1, 0], text: 'another' }))).toEqual([
      ['far', 0.6],
      ['same', 0.5],
      ['zero', 0],
    ])
  })

  test('filters compare metadata by their kind', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = fixture.client()
    const books = mr.vectors<Meta>(freshName('books').replaceAll('-', '_').toLowerCase())
    await books.create({ dimension: 1, metric: 'l2' })
    await books.upsert([
      { id: 'a', vector: [1], metadata: { title: 'Ant', year: 900, draft: true, tags: ['x', 'y'] } },
      { id: 'b', vector: [2], metadata: { title: 'Bee', year: 2024, draft: false, category: '2024', scores: [5, 6] } },
      { id: 'c', vector: [3], metadata: { title: 'Cat\'s \\ "paw"', tags: ['y'] } },
    ])
    const ids = async (where: Parameters<typeof books.count>[0]) => (await books.search({ vector: [0], where })).map(({ id }) => id)
    expect(await ids({ year: { gt: 1000 } })).toEqual(['b'])
    expect(await ids('year=lte.900')).toEqual(['a'])
    expect(await ids({ year: 2024 })).toEqual(['b'])
    expect(await ids('category=eq.2024')).toEqual(['b'])
    expect(await ids({ draft: true })).toEqual(['a'])
    expect(await ids('draft=is.false')).toEqual(['b'])
    expect(await ids({ draft: { is: null } })).toEqual(['c'])
    expect(await ids({ title: { gt: 'B' } })).toEqual(['b', 'c'])
    expect(await ids({ title: { like: 'B%' } })).toEqual(['b'])
    expect(await ids({ title: { in: ['Ant', 'Bee'] } })).toEqual(['a', 'b'])
    expect(await ids({ title: { ne: 'Ant' } })).toEqual(['b', 'c'])
    expect(await ids({ tags: { contains: ['x'] } })).toEqual(['a'])
    expect(await ids({ tags: { overlaps: ['x', 'y'] } })).toEqual(['a', 'c'])
    expect(await ids({ tags: { containedBy: ['y', 'z'] } })).toEqual(['c'])
    expect(await ids({ scores: { contains: [5] } })).toEqual(['b'])
    expect(await ids('scores=cs.{5,6}')).toEqual(['b'])
    expect(await ids({ scores: { overlaps: [1, 6] } })).toEqual(['b'])
    expect(await ids({ draft: { is: 'unknown' } })).toEqual(['c'])
    expect(await ids('year=eq.1e999')).toEqual([])
    expect(await ids('year=eq.0900')).toEqual(['a'])
    await mr.tables.sql(`UPDATE ${books.name} SET metadata = metadata || '{"serial": 9007199254740993}' WHERE id = 'a'`)
    expect(await ids('serial=eq.9007199254740993')).toEqual(['a'])
    expect(await ids('serial=eq.9007199254740992')).toEqual([])
    expect(await ids({ or: [{ title: 'Cat\'s \\ "paw"' }, { year: { lt: 1000 } }] })).toEqual(['a', 'c'])
    expect(await ids({ not: { draft: true } })).toEqual(['b', 'c'])
    expect(await ids({ not: { year: { gt: 1000 } } })).toEqual(['a', 'c'])
    expect(await ids({ '"title\' OR TRUE --"': 'x' })).toEqual([])
  })

  test('an answer that no client takes is refused, with what to do', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = fixture.client()
    const large = mr.vectors(freshName('large').replaceAll('-', '_').toLowerCase())
    await large.create({ dimension: 1, index: false })
    await mr.tables.sql(
      `INSERT INTO ${large.name} (id, embedding, content) SELECT n::text, '[1]', 'x' || repeat(' ', 1000000) FROM generate_series(1, 68) n`,
    )
    const refused = { code: 'VALIDATION', message: expect.stringContaining('more bytes than one answer may have. Ask for fewer') }
    await expect(large.search({ vector: [1], limit: 100 })).rejects.toMatchObject(refused)
    await expect(large.hybridSearch({ text: 'x', vector: [1], limit: 100 })).rejects.toMatchObject(refused)
    await expect(large.getMany(Array.from({ length: 68 }, (_, i) => String(i + 1)))).rejects.toMatchObject(refused)
    expect(await large.search({ vector: [1], limit: 5 })).toHaveLength(5)
  })

  test('collections are made once, described, listed and dropped; others do not see them', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const namespace = freshName('ns')
    const mr = fixture.client({ namespace })
    const docs = mr.vectors('docs')
    const info = await docs.create({ dimension: 3, metric: 'l2', index: { m: 8 }, language: 'german' })
    expect(info).toEqual({
      name: 'docs',
      dimension: 3,
      metric: 'l2',
      index: { m: 8, efConstruction: 64 },
      language: 'german',
      createdAt: expect.any(Date),
    })
    expect(await docs.create({ dimension: 3, metric: 'l2', index: { m: 8 }, language: 'german' })).toEqual(info)
    const different = await rejection(docs.create({ dimension: 4 }))
    expect(different).toBeInstanceOf(ConflictError)
    expect(different.message).toContain("'docs' is there with dimension 3")
    await mr.tables.sql('CREATE TABLE plain (id int)')
    expect(await rejection(mr.vectors('plain').create({ dimension: 3 }))).toBeInstanceOf(ConflictError)
    await mr.vectors('more').create({ dimension: 2000 })
    await mr.vectors('huge').create({ dimension: 3000, index: false })
    const names: string[] = []
    for await (const { name } of mr.vectorCollections.list({ limit: 2 })) names.push(name)
    expect(names).toEqual(['docs', 'huge', 'more'])

    await docs.upsert({ id: 'a', vector: [1, 2, 3], text: 'Häuser' })
    expect(await mr.table('docs').select('id, content').all()).toEqual([{ id: 'a', content: 'Häuser' }])
    const other = fixture.client({ namespace: freshName('ns') })
    expect(await rejection(other.vectors('docs').search({ vector: [1, 2, 3] }))).toBeInstanceOf(NotFoundError)
    expect((await other.vectorCollections.list()).items).toEqual([])
    expect(await docs.drop()).toBe(true)
    expect(await docs.drop()).toBe(false)
    expect(await rejection(docs.info())).toMatchObject({ name: 'NotFoundError', resource: 'collection', id: 'docs' })
  })

  test('what is wrong with an item or a search is said by its place, and nothing is kept of it', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const mr = fixture.client()
    const docs = mr.vectors('strict')
    await docs.create({ dimension: 2 })
    const pathsOf = async (call: Promise<unknown>) => {
      const error = await rejection(call)
      expect(error).toBeInstanceOf(ValidationError)
      return (error as ValidationError).fields.map(({ path }) => path)
    }
    expect(await pathsOf(docs.upsert([{ vector: [1, 2] }, { vector: [1, 2, 3] }]))).toEqual(['items[1].vector'])
    expect(await pathsOf(docs.upsert({ vector: [1, Number.NaN] }))).toEqual(['items[0].vector[1]'])
    expect(await pathsOf(docs.upsert({ vector: [1, 1e39] }))).toEqual(['items[0].vector[1]'])
    expect(await pathsOf(docs.upsert({ vector: [] }))).toEqual(['items[0].vector'])
    expect(
      await pathsOf(
        docs.upsert([
          { id: 'a', vector: [1, 2] },
          { id: 'a', vector: [1, 2] },
        ]),
      ),
    ).toEqual(['items[1].id'])
    expect(await pathsOf(docs.upsert({ id: 'a\nb', vector: [1, 2] }))).toEqual(['items[0].id'])
    expect(await pathsOf(docs.upsert({ vector: [1, 2], metadata: [] as never }))).toEqual(['items[0].metadata'])
    expect(await docs.count()).toBe(0)
    expect(await pathsOf(docs.search({ vector: [1] }))).toEqual(['vector'])
    expect(await pathsOf(docs.search({ vector: [1, 2], limit: 1001 }))).toEqual(['limit'])
    expect(await pathsOf(docs.search({ vector: [1, 2], where: 'what?' }))).toEqual(['filter.text'])
    expect(await pathsOf(mr.vectors('Robert"; DROP TABLE x').create({ dimension: 2 }))).toEqual(['name'])
    expect(await pathsOf(mr.vectors('wide').create({ dimension: 2001 }))).toEqual(['dimension'])
  })
})
