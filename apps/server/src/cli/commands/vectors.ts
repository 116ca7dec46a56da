import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import type { VectorCollection, VectorItem, VectorMetric } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import { type Command, UsageError } from '../command.ts'
import { integerFlag, limitFlag, showTime, textFlag } from '../values.ts'

const nameArg = { name: 'COLLECTION', help: 'the name of a collection' }
const metrics = ['cosine', 'l2', 'inner-product'] as const

const list: Command = {
  name: 'vectors list',
  summary: 'List collections of vectors.',
  options: clientOptions,
  examples: [{ line: 'millrace vectors list', does: 'names and settings' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const rows: VectorCollection[] = []
    let cursor = ''
    do {
      const page = await server.vectors.listVectorCollections({ limit: 1000, cursor })
      rows.push(...page.collections)
      cursor = page.nextCursor
    } while (cursor !== '')
    if (flags.json) for (const row of rows) output.json(collectionJson(row))
    else {
      output.table(
        ['collection', 'dimension', 'metric', 'index', 'language', 'created'],
        rows.map(({ name, dimension, metric, index, language, createdAt }) => [
          name,
          dimension,
          metrics[metric - 1] ?? '',
          index ? `m ${index.m}, ef ${index.efConstruction}` : 'none',
          language,
          showTime(createdAt),
        ]),
      )
    }
    return 0
  },
}

const create: Command = {
  name: 'vectors create',
  summary: 'Make a collection of vectors.',
  args: [nameArg],
  options: [
    { name: 'dimension', placeholder: 'N', help: 'Numbers in each vector. Required.' },
    { name: 'metric', placeholder: 'METRIC', help: `How nearness is measured: ${metrics.join(', ')}.`, default: 'cosine' },
    { name: 'language', placeholder: 'NAME', help: "Language of the texts, as Postgres's text search names it.", default: 'simple' },
    { name: 'without-index', help: 'No index: each search looks at every item.' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace vectors create documents --dimension 384', does: 'a collection for vectors of 384 numbers' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const metric = textFlag(flags, 'metric') ?? 'cosine'
    const number = metrics.indexOf(metric as never) + 1
    if (number === 0) throw new UsageError(`--metric: '${metric}' is none of ${metrics.join(', ')}`)
    using server = connect({ flags, env })
    const { collection, created } = await server.vectors.createVectorCollection({
      name: words[0]!,
      dimension: integerFlag(flags, 'dimension'),
      metric: number as VectorMetric,
      index: undefined,
      withoutIndex: flags['without-index'] === true,
      language: textFlag(flags, 'language') ?? '',
    })
    if (flags.json) output.json({ ...collectionJson(collection!), created })
    else output.line(created ? `${words[0]} created` : `${words[0]} is there already`)
    return 0
  },
}

const drop: Command = {
  name: 'vectors drop',
  summary: 'Delete a collection with all that is in it.',
  args: [nameArg],
  options: clientOptions,
  examples: [{ line: 'millrace vectors drop documents', does: 'gone' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.vectors.deleteVectorCollection({ name: words[0]! })
    if (flags.json) output.json({ deleted })
    else output.line(deleted ? `${words[0]} dropped` : `There is no collection '${words[0]}'.`)
    return deleted ? 0 : 1
  },
}

/** Items of one request. */
const batch = 500

const upsert: Command = {
  name: 'vectors upsert',
  summary: 'Put items into a collection, from standard input.',
  description:
    'Puts items into a collection. Reads a JSON object a line: {"id":"a","vector":[0.1,0.2],"text":"…","metadata":{…}}. An id that is there is replaced.',
  args: [nameArg],
  options: clientOptions,
  examples: [{ line: 'millrace vectors upsert documents < items.jsonl', does: 'as many as there are lines' }],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    let count = 0
    let items: VectorItem[] = []
    const send = async () => {
      if (items.length > 0) count += (await server.vectors.upsertVectors({ name: words[0]!, items })).ids.length
      items = []
      output.progress(`${count} items`)
    }
    let line = 0
    for await (const text of createInterface({ input: Readable.from(stdin) })) {
      line++
      if (text.trim() === '') continue
      items.push(readItem(text, line))
      if (items.length === batch) await send()
    }
    await send()
    output.progress('')
    if (flags.json) output.json({ count })
    else output.line(`${count} item${count === 1 ? '' : 's'}`)
    return 0
  },
}

const search: Command = {
  name: 'vectors search',
  summary: 'Find the items nearest to a vector.',
  args: [nameArg, { name: 'VECTOR', help: 'a JSON list of numbers' }],
  options: [
    { name: 'limit', placeholder: 'N', help: 'Most items.', default: '10' },
    { name: 'filter', placeholder: 'FILTER', help: 'Which items, by their metadata: category=eq.tech' },
    { name: 'text', placeholder: 'WORDS', help: 'Find by these words, too.' },
    ...clientOptions,
  ],
  examples: [
    { line: "millrace vectors search documents '[0.1,0.2]' --filter category=eq.tech", does: 'the nearest of one category' },
    { line: "millrace vectors search documents '[0.1,0.2]' --text 'machine learning'", does: 'by words and nearness together' },
  ],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const filter = textFlag(flags, 'filter')
    const text = textFlag(flags, 'text')
    const common = {
      name: words[0]!,
      vector: { packed: new Uint8Array(0), values: numbersOf(words[1]!, 'VECTOR') },
      limit: limitFlag(flags, 10),
      filter: filter === undefined ? undefined : { text: filter, where: new Uint8Array(0), contentType: '' },
      candidates: 0,
      withVectors: false,
    }
    using server = connect({ flags, env })
    const { matches } =
      text === undefined
        ? await server.vectors.searchVectors({ ...common, threshold: undefined })
        : await server.vectors.hybridSearchVectors({ ...common, text, textWeight: undefined, vectorWeight: undefined, fusion: 0 })
    const rows = matches.map(({ item, score }) => ({
      id: item!.id,
      score,
      text: item!.text,
      metadata: Buffer.from(item!.metadata).toString(),
    }))
    if (flags.json) for (const row of rows) output.json({ ...row, metadata: JSON.parse(row.metadata) })
    else {
      output.table(
        ['id', 'score', 'metadata', 'text'],
        rows.map(({ id, score, text, metadata }) => [id, score.toFixed(4), metadata, text.slice(0, 60).replaceAll('\n', ' ')]),
      )
    }
    return 0
  },
}

function readItem(line: string, number: number): VectorItem {
  const fail = (what: string) => new UsageError(`line ${number}: ${what}; give {"id":"a","vector":[0.1,0.2],"text":"…","metadata":{…}}`)
  let value: { id?: unknown; vector?: unknown; text?: unknown; metadata?: unknown }
  try {
    value = JSON.parse(line)
  } catch {
    throw fail('is not JSON')
  }
  const { id = '', vector, text = '', metadata = {} } = value ?? {}
  if (typeof id !== 'string' || typeof text !== 'string') throw fail('id and text are texts')
  if (!isNumbers(vector)) throw fail('has no vector')
  return {
    id,
    vector: { packed: new Uint8Array(0), values: vector },
    text,
    metadata: Buffer.from(JSON.stringify(metadata)),
    contentType: '',
  }
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'number')
}

function numbersOf(text: string, name: string): number[] {
  try {
    const value: unknown = JSON.parse(text)
    if (isNumbers(value)) return value
  } catch {
    // Said below.
  }
  throw new UsageError(`${name} is not a JSON list of numbers, such as [0.1,0.2]`)
}

function collectionJson({ name, dimension, metric, index, language, createdAt }: VectorCollection) {
  return { name, dimension, metric: metrics[metric - 1], index, language, createdAt }
}

/** `millrace vectors …` */
export const vectors: readonly Command[] = [list, create, drop, upsert, search]
