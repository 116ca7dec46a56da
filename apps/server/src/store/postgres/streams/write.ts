import type { Scope } from '../../ports.ts'
import { cutIntoChunks } from '../../stream-chunks.ts'
import type { StreamMessage, StreamWriteOutcome, StreamWriteRequest } from '../../stream-port.ts'
import { answerKey, placesOf, recall, refusalOf, remember } from '../../stream-rules.ts'
import { Bytes, columns, numbers, texts } from '../arrays.ts'
import type { Context } from '../context.ts'
import type { Transaction } from '../database.ts'
import { type Pending, Pipeline } from '../pipeline.ts'

/** Messages of one transaction at most, or as many as this many bytes stand for. */
const mostMessages = 10_000
const bytesPerMessage = 1024

const hold = `
  SELECT s.tenant, s.stream, s.namespace, s.name FROM unnest($1::int[], $2::text[], $3::text[]) AS i (tenant, namespace, name)
  JOIN millrace.streams s ON s.name = i.name AND s.namespace = i.namespace AND s.tenant = i.tenant
  ORDER BY s.tenant, s.stream FOR UPDATE OF s`
const addStreams = `
  INSERT INTO millrace.streams (tenant, namespace, name, created_at)
  SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[]) AS i ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING`
const addFirst = `
  INSERT INTO millrace.stream_partitions (tenant, stream, partition)
  SELECT s.tenant, s.stream, 0 FROM unnest($1::int[], $2::text[], $3::text[]) AS i (tenant, namespace, name)
  JOIN millrace.streams s ON s.name = i.name AND s.namespace = i.namespace AND s.tenant = i.tenant ON CONFLICT DO NOTHING`
const readPartitions = `
  SELECT p.stream, p.partition, p.next, p.written_at AS "writtenAt" FROM unnest($1::int[], $2::int[]) AS i (tenant, stream)
  JOIN millrace.stream_partitions p ON p.tenant = i.tenant AND p.stream = i.stream ORDER BY p.stream, p.partition`
const readAnswers = `
  SELECT a.tenant, a.id, a.answer FROM unnest($1::int[], $2::text[]) AS i (tenant, id)
  JOIN millrace.answers a ON a.tenant = i.tenant AND a.id = i.id`
const putAnswers = `
  INSERT INTO millrace.answers (tenant, id, answer, created_at) SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[])`

interface Row {
  readonly tenant: number
  readonly stream: number
  readonly partition: number
  readonly firstOffset: number
  readonly count: number
  readonly writtenAt: number
  readonly start: number
  readonly length: number
}
const rows = columns<Row>({
  tenant: ['int', ({ tenant }) => tenant],
  stream: ['int', ({ stream }) => stream],
  partition: ['int', ({ partition }) => partition],
  first_offset: ['bigint', ({ firstOffset }) => firstOffset],
  count: ['int', ({ count }) => count],
  written_at: ['bigint', ({ writtenAt }) => writtenAt],
  start: ['int', ({ start }) => start],
  length: ['int', ({ length }) => length],
})
const putChunks = `
  INSERT INTO millrace.stream_chunks (tenant, stream, partition, first_offset, count, written_at, bytes, data)
  SELECT i.tenant, i.stream, i.partition, i.first_offset, i.count, i.written_at, i.length, substring($1::bytea FROM i.start FOR i.length)
  FROM ${rows.from('i', 2)}`
const movePartitions = `
  UPDATE millrace.stream_partitions p SET next = i.next, bytes = p.bytes + i.added, written_at = i.written_at
  FROM unnest($1::int[], $2::int[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[]) AS i (tenant, stream, partition, next, added, written_at)
  WHERE p.tenant = i.tenant AND p.stream = i.stream AND p.partition = i.partition`

interface HeldPartition {
  readonly tenant: number
  readonly stream: number
  readonly partition: number
  next: number
  writtenAt: number
  readonly added: StreamMessage[]
}
interface HeldStream {
  readonly tenant: number
  readonly stream: number
  readonly partitions: HeldPartition[]
}
interface Answer {
  readonly tenant: number
  readonly id: string
  readonly answer: string
  readonly now: number
}
type Batch = readonly Pending<StreamWriteRequest, readonly StreamWriteOutcome[]>[]

/** Writes messages: requests that come together share a transaction, which holds the rows of their streams. */
export class StreamWriter {
  readonly #context: Context
  readonly #pipeline: Pipeline<StreamWriteRequest, readonly StreamWriteOutcome[]>
  /** Whose turn it is in each stream. */
  readonly #turns = new Map<string, number>()

  constructor(context: Context) {
    this.#context = context
    this.#pipeline = new Pipeline({
      run: (batch) => this.#run(batch),
      weigh: ({ batches }) =>
        batches.reduce((sum, batch) => sum + batch.reduce((all, { payload }) => all + 1 + payload.length / bytesPerMessage, 0), 0),
      most: mostMessages,
      width: 2,
    })
  }

  write(request: StreamWriteRequest): Promise<readonly StreamWriteOutcome[]> {
    return this.#pipeline.add(request)
  }

  close(): Promise<void> {
    return this.#pipeline.close()
  }

  async #run(batch: Batch): Promise<void> {
    const answers = await this.#context.db.transaction(async (transaction) => {
      const streams = await holdStreams(transaction, batch)
      const known = await readKnown(transaction, batch)
      const remembered = new Map<string, Answer>()
      const found = batch.map(({ request }) => {
        const { tenant } = request.scope
        const id = request.requestId === '' ? undefined : answerKey(request)
        const before = id && (remembered.get(`${tenant} ${id}`)?.answer ?? known.get(`${tenant} ${id}`))
        if (before) return recall(before)
        const at = nameKey(request.scope, request.stream)
        const stream = streams.get(at)!
        const outcomes = request.batches.map((messages) => this.#append(at, stream, messages, request.now))
        if (id) remembered.set(`${tenant} ${id}`, { tenant, id, answer: remember(outcomes), now: request.now })
        return outcomes
      })
      await store(transaction, streams, [...remembered.values()])
      return found
    })
    for (const [i, { resolve }] of batch.entries()) resolve(answers[i]!)
    const told = new Set<string>()
    for (const { request } of batch) {
      const at = nameKey(request.scope, request.stream)
      if (told.has(at)) continue
      told.add(at)
      this.#context.touch('stream', request.scope, request.stream)
    }
  }

  #append(at: string, { partitions }: HeldStream, batch: StreamWriteRequest['batches'][number], now: number): StreamWriteOutcome {
    try {
      const turn = this.#turns.get(at) ?? 0
      const places = placesOf(batch, partitions.length, turn % partitions.length)
      if (partitions.length > 1) this.#turns.set(at, (turn + 1) % partitions.length)
      const offsets = batch.map((message, i) => {
        const partition = partitions[places[i]!]!
        partition.added.push(message)
        partition.writtenAt = Math.max(partition.writtenAt, now)
        return partition.next++
      })
      return { partitions: places, offsets }
    } catch (error) {
      return refusalOf(error)
    }
  }
}

async function holdStreams(transaction: Transaction, batch: Batch): Promise<Map<string, HeldStream>> {
  const wanted = new Map(batch.map(({ request }) => [nameKey(request.scope, request.stream), request]))
  const names = (requests: readonly StreamWriteRequest[]) => [
    numbers(requests.map(({ scope }) => scope.tenant)),
    texts(requests.map(({ scope }) => scope.namespace)),
    texts(requests.map(({ stream }) => stream)),
  ]
  const all = [...wanted.values()]
  type Found = Scope & { readonly stream: number; readonly name: string }
  let held = await transaction.query<Found>(hold, names(all))
  if (held.length < all.length) {
    const there = new Set(held.map((stream) => nameKey(stream, stream.name)))
    const missing = all.filter(({ scope, stream }) => !there.has(nameKey(scope, stream)))
    await transaction.query(addStreams, [...names(missing), numbers(missing.map(({ now }) => now))])
    await transaction.query(addFirst, names(missing))
    held = await transaction.query<Found>(hold, names(all))
  }
  const byNumber = new Map(held.map(({ tenant, stream }) => [stream, { tenant, stream, partitions: [] } as HeldStream]))
  const of = [numbers(held.map(({ tenant }) => tenant)), numbers(held.map(({ stream }) => stream))]
  const found = await transaction.query<{ stream: number; partition: number; next: number; writtenAt: number }>(readPartitions, of)
  for (const partition of found) {
    const { tenant, partitions } = byNumber.get(partition.stream)!
    partitions.push({ ...partition, tenant, added: [] })
  }
  return new Map(held.map((stream) => [nameKey(stream, stream.name), byNumber.get(stream.stream)!]))
}

async function readKnown(transaction: Transaction, batch: Batch): Promise<Map<string, string>> {
  const named = batch.map(({ request }) => request).filter(({ requestId }) => requestId !== '')
  if (named.length === 0) return new Map()
  const ids = [numbers(named.map(({ scope }) => scope.tenant)), texts(named.map(answerKey))]
  const found = await transaction.query<{ tenant: number; id: string; answer: string }>(readAnswers, ids)
  return new Map(found.map(({ tenant, id, answer }) => [`${tenant} ${id}`, answer]))
}

async function store(transaction: Transaction, streams: Map<string, HeldStream>, answers: readonly Answer[]): Promise<void> {
  const bytes = new Bytes()
  const chunks: Row[] = []
  const moved: (HeldPartition & { readonly bytes: number })[] = []
  for (const { partitions } of streams.values()) {
    for (const partition of partitions) {
      if (partition.added.length === 0) continue
      const cut = cutIntoChunks(partition.next - partition.added.length, partition.added)
      for (const { data, ...chunk } of cut) chunks.push({ ...partition, ...chunk, start: bytes.add(data), length: data.length })
      moved.push({ ...partition, bytes: cut.reduce((sum, { data }) => sum + data.length, 0) })
    }
  }
  if (chunks.length > 0) {
    await transaction.query(putChunks, [bytes.all(), ...rows.values(chunks)])
    await transaction.query(movePartitions, [
      numbers(moved.map(({ tenant }) => tenant)),
      numbers(moved.map(({ stream }) => stream)),
      numbers(moved.map(({ partition }) => partition)),
      numbers(moved.map(({ next }) => next)),
      numbers(moved.map((partition) => partition.bytes)),
      numbers(moved.map(({ writtenAt }) => writtenAt)),
    ])
  }
  if (answers.length === 0) return
  await transaction.query(putAnswers, [
    numbers(answers.map(({ tenant }) => tenant)),
    texts(answers.map(({ id }) => id)),
    texts(answers.map(({ answer }) => answer)),
    numbers(answers.map(({ now }) => now)),
  ])
}

function nameKey({ tenant, namespace }: Scope, name: string): string {
  return `${tenant} ${namespace} ${name}`
}
