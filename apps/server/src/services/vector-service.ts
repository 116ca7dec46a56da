import { randomUUID } from 'node:crypto'
import {
  type HybridSearchVectorsRequest,
  type SearchVectorsRequest,
  VectorFusion,
  type VectorIndex,
  type VectorItem,
  type VectorServiceDefinition,
} from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { isObject, readJson } from '../domain/tables/values.ts'
import type { VectorEngine } from '../domain/vectors/engine.ts'
import type { Item, Search } from '../domain/vectors/types.ts'
import { MillraceError } from '../errors.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { limits } from './limits.ts'
import { readRowFilter } from './row-filter.ts'
import { readMetric, readVector, toCollection, toItem, toMatch } from './vector-shapes.ts'

const namePattern = /^[a-z][a-z0-9_]{0,47}$/
const mostItems = 10_000
const mostFound = 1000
const mostIds = { read: 1000, delete: 10_000 }
const textBytes = 1 << 20
const metadataBytes = 64 << 10
/** Numbers in a vector: pgvector's index takes fewer than its columns. */
const dimensions = { indexed: 2000, any: 16_000 }

/** Collections of vectors. */
export function createVectorService({
  vectors,
  clock,
}: {
  readonly vectors: VectorEngine
  readonly clock: Clock
}): ServiceOf<typeof VectorServiceDefinition> {
  return {
    async createVectorCollection(request, { scope }) {
      const { name, dimension, index, withoutIndex, language } = request
      const checks = new Checks()
      checkName(checks, name)
      checks.integer('dimension', dimension, 1, withoutIndex ? dimensions.any : dimensions.indexed)
      if (withoutIndex && index) checks.fail('index', 'stands beside withoutIndex; give one of them')
      if (!/^[a-z_]{0,63}$/.test(language))
        checks.fail('language', 'is not the name of a text search configuration, such as simple or english')
      const settings = {
        name,
        dimension,
        metric: readMetric(checks, 'metric', request.metric),
        index: withoutIndex ? undefined : readIndex(checks, index),
        language: language || 'simple',
        createdAt: clock.now(),
      }
      checks.done()
      const { collection, created } = await vectors.create(scope, settings)
      return { collection: toCollection(collection), created }
    },

    async getVectorCollection({ name }, { scope }) {
      return { collection: toCollection(await vectors.get(scope, checkedName(name))) }
    },

    async listVectorCollections({ limit, cursor }, { scope }) {
      const checks = new Checks()
      const most = checks.page('limit', limit)
      checks.text('cursor', cursor, limits.text)
      checks.done()
      const found = await vectors.list(scope, cursor, most + 1)
      const page = found.slice(0, most)
      return { collections: page.map(toCollection), nextCursor: found.length > most ? page.at(-1)!.name : '' }
    },

    async deleteVectorCollection({ name }, { scope }) {
      return { deleted: await vectors.drop(scope, checkedName(name)) }
    },

    async upsertVectors({ name, items }, { scope }) {
      const checks = new Checks()
      checkName(checks, name)
      checks.count('items', items.length, 1, mostItems)
      checks.done()
      const read = items.map((item, i) => {
        checks.at('items', i)
        return readItem(checks, item)
      })
      const seen = new Map<string, number>()
      for (const [i, { id }] of read.entries()) {
        checks.at('items', i)
        if (seen.has(id)) checks.fail('id', `is that of items[${seen.get(id)}], too; give each once`)
        else seen.set(id, i)
      }
      checks.done()
      await vectors.upsert(scope, name, read)
      return { ids: read.map(({ id }) => id) }
    },

    async getVectors({ name, ids }, { scope }) {
      const checks = new Checks()
      checkName(checks, name)
      checkIds(checks, ids, mostIds.read)
      checks.done()
      return { items: (await vectors.items(scope, name, ids)).map(toItem) }
    },

    async deleteVectors({ name, ids, filter }, { scope }) {
      const checks = new Checks()
      checkName(checks, name)
      const where = readRowFilter(filter)
      if (where ? ids.length > 0 : ids.length === 0) checks.fail('ids', 'or filter: give one of them')
      else if (!where) checkIds(checks, ids, mostIds.delete)
      checks.done()
      return { deleted: where ? await vectors.deleteWhere(scope, name, where) : await vectors.delete(scope, name, ids) }
    },

    async countVectors({ name, filter }, { scope }) {
      return { count: await vectors.count(scope, checkedName(name), readRowFilter(filter)) }
    },

    async searchVectors(request, { scope }) {
      const checks = new Checks()
      const search = readSearch(checks, request)
      const { threshold } = request
      if (threshold !== undefined && !Number.isFinite(threshold)) checks.fail('threshold', `${threshold} is not a finite number`)
      checks.done()
      return { matches: (await vectors.search(scope, request.name, { ...search, threshold })).map(toMatch) }
    },

    async hybridSearchVectors(request, { scope }) {
      const { text, textWeight = 0.5, vectorWeight = 0.5, fusion } = request
      const checks = new Checks()
      const search = readSearch(checks, request)
      if (text.trim() === '') checks.fail('text', 'is empty; give words, or use a search by vector')
      checks.text('text', text, limits.filter)
      if (text.includes('\0')) checks.fail('text', 'contains a zero byte, which text in Postgres cannot')
      checks.number('textWeight', textWeight, 0, 1)
      checks.number('vectorWeight', vectorWeight, 0, 1)
      checks.done()
      const by = fusion === VectorFusion.RECIPROCAL_RANK ? 'rrf' : 'weights'
      const matches = await vectors.hybrid(scope, request.name, { ...search, text, textWeight, vectorWeight, fusion: by })
      return { matches: matches.map(toMatch) }
    },
  }
}

function checkName(checks: Checks, name: string): void {
  if (!namePattern.test(name))
    checks.fail(
      'name',
      `${JSON.stringify(name.slice(0, 64))} is not the name of a collection; give 1 to 48 characters: a small letter, then a-z 0-9 _`,
    )
}

function checkedName(name: string): string {
  const checks = new Checks()
  checkName(checks, name)
  checks.done()
  return name
}

function readIndex(checks: Checks, { m, efConstruction }: VectorIndex = { m: 0, efConstruction: 0 }) {
  const index = { m: m || 16, efConstruction: efConstruction || Math.max(64, 2 * (m || 16)) }
  checks.integer('index.m', index.m, 2, 100)
  checks.integer('index.efConstruction', index.efConstruction, Math.max(4, 2 * index.m), 1000)
  return index
}

function readItem(checks: Checks, { id, vector, text, metadata, contentType }: VectorItem): Item & { readonly dimension: number } {
  if (id !== '') checkId(checks, 'id', id)
  const { text: numbers, dimension } = readVector(checks, 'vector', vector)
  if (Buffer.byteLength(text) > textBytes) checks.fail('text', `has ${Buffer.byteLength(text)} bytes; at most ${textBytes} are allowed`)
  if (text.includes('\0')) checks.fail('text', 'contains a zero byte, which text in Postgres cannot')
  return { id: id || randomUUID(), vector: numbers, dimension, text, metadata: readMetadata(checks, metadata, contentType) }
}

/** A zero character in JSON; behind another backslash it is none. */
const zeroEscape = /(?<!\\)(?:\\\\)*\\u0000/

function readMetadata(checks: Checks, metadata: Uint8Array, contentType: string): string {
  if (metadata.length === 0) return '{}'
  if (metadata.length > metadataBytes) checks.fail('metadata', `has ${metadata.length} bytes; at most ${metadataBytes} are allowed`)
  else {
    try {
      const text = Buffer.from(metadata).toString()
      if (!isObject(readJson('metadata', metadata, contentType))) checks.fail('metadata', 'is not a JSON object')
      else if (zeroEscape.test(text)) checks.fail('metadata', 'contains a zero character, which JSON in Postgres cannot')
      return text
    } catch (error) {
      checks.fail('metadata', error instanceof MillraceError ? error.message.replace('metadata: ', '') : 'is not JSON')
    }
  }
  return '{}'
}

function checkIds(checks: Checks, ids: readonly string[], most: number): void {
  checks.count('ids', ids.length, 1, most)
  for (const [i, id] of ids.entries()) checkId(checks, `ids[${i}]`, id)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const control = /[\u0000-\u001f\u007f-\u009f]/

function checkId(checks: Checks, field: string, id: string): void {
  if (id === '' || Buffer.byteLength(id) > limits.key || control.test(id))
    checks.fail(field, `is not an id; give 1 to ${limits.key} bytes without control characters`)
}

function readSearch(checks: Checks, request: SearchVectorsRequest | HybridSearchVectorsRequest): Omit<Search, 'threshold'> {
  checkName(checks, request.name)
  const { text: vector, dimension } = readVector(checks, 'vector', request.vector)
  const limit = request.limit || 10
  checks.integer('limit', limit, 1, mostFound)
  const candidates = request.candidates || Math.min(Math.max(100, limit), mostFound)
  checks.integer('candidates', candidates, 1, mostFound)
  return { vector, dimension, limit, where: readRowFilter(request.filter), candidates, withVectors: request.withVectors }
}
