import type { Scope } from '../../ports.ts'
import { cutIntoChunks } from '../../stream-chunks.ts'
import type { StreamBatch, StreamMessage, StreamWriteOutcome, StreamWriteRequest } from '../../stream-port.ts'
import { afterWrite } from '../../stream-producers.ts'
import { answerKey, noStream, placesOf, recall, refusalOf, remember } from '../../stream-rules.ts'
import { admitBatch, traitsAfter } from '../../stream-traits.ts'
import { StreamGone, type StreamTraits } from '../../trait-port.ts'
import { Bytes, columns, numbers, texts } from '../arrays.ts'
import type { Context } from '../context.ts'
import type { Transaction } from '../database.ts'
import { type Pending, Pipeline } from '../pipeline.ts'
import { Producers } from './producers.ts'
import { type TraitRow, traitColumns, traitsOf } from './traits.ts'

/** Messages of one transaction at most, or as many as this many bytes stand for. */
const mostMessages = 10_000
const bytesPerMessage = 1024

const hold = `
  SELECT s.tenant, s.stream, s.namespace, s.name, ${traitColumns} FROM unnest($1::int[], $2::text[], $3::text[]) AS i (tenant, namespace, name)
  JOIN millrace.streams s ON s.name = i.name AND s.namespace = i.namespace AND s.tenant = i.tenant
  ORDER BY s.tenant, s.stream FOR UPDATE OF s`
const addStreams = `
  INSERT INTO millrace.streams (tenant, namespace, name, created_at)
  SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[]) AS i ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING RETURNING stream`
const addFirst = `
  INSERT INTO millrace.stream_partitions (tenant, stream, partition)
  SELECT s.tenant, s.stream, 0 FROM unnest($1::int[], $2::text[], $3::text[]) AS i (tenant, namespace, name)
  JOIN millrace.streams s ON s.name = i.name AND s.namespace = i.namespace AND s.tenant = i.tenant ON CONFLICT DO NOTHING`
const unmake = `
  WITH unmade AS (
    DELETE FROM millrace.streams s USING unnest($1::int[], $2::int[]) AS i (tenant, stream)
    WHERE s.tenant = i.tenant AND s.stream = i.stream RETURNING s.tenant, s.stream
  )
  DELETE FROM millrace.stream_partitions p USING unmade u WHERE p.tenant = u.tenant AND p.stream = u.stream`
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

const changeTraits = `
  UPDATE millrace.streams s SET closed = i.closed, last_order = i.last_order, expires_at = i.expires_at
  FROM unnest($1::int[], $2::int[], $3::int[], $4::text[], $5::bigint[]) AS i (tenant, stream, closed, last_order, expires_at)
  WHERE s.tenant = i.tenant AND s.stream = i.stream`

interface HeldPartition {
  readonly tenant: number
  readonly stream: number
  readonly partition: number
  next: number
  writtenAt: number
  readonly added: StreamMessage[]
}
/** A stream whose row the transaction holds. */
export interface HeldStream {
  readonly tenant: number
  readonly stream: number
  readonly before: StreamTraits
  traits: StreamTraits
  readonly partitions: HeldPartition[]
  /** Made by the transaction, and nothing was written to it yet. */
  unused: boolean
}
interface Answer {
  readonly tenant: number
  readonly id: string
  readonly answer: string
  readonly now: number
}

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
        batches.reduce(
          (sum, { messages }) => sum + messages.reduce((all, { payload }) => all + 1 + payload.length / bytesPerMessage, 0),
          0,
        ),
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

  /** Inside a transaction: carries out requests in turn. */
  async apply(transaction: Transaction, requests: readonly StreamWriteRequest[]): Promise<readonly (readonly StreamWriteOutcome[])[]> {
    const streams = await holdStreams(transaction, requests)
    const known = await readKnown(transaction, requests)
    const producers = await readProducers(transaction, requests, streams)
    const remembered = new Map<string, Answer>()
    const found = requests.map((request) => {
      const { tenant } = request.scope
      const id = request.requestId === '' ? undefined : answerKey(request)
      const before = id && (remembered.get(`${tenant} ${id}`)?.answer ?? known.get(`${tenant} ${id}`))
      if (before) return recall(before)
      const at = nameKey(request.scope, request.stream)
      const stream = streams.get(at)
      if (!stream || (request.to !== undefined && request.to !== stream.stream)) {
        return request.batches.map(() => ({ error: noStream(request.stream) }))
      }
      const outcomes = request.batches.map((messages) => this.#append(request, stream, messages, producers))
      if (id) remembered.set(`${tenant} ${id}`, { tenant, id, answer: remember(outcomes), now: request.now })
      return outcomes
    })
    await store(transaction, streams, [...remembered.values()])
    await producers?.store(transaction)
    return found
  }

  /** After the commit. */
  tell(requests: readonly StreamWriteRequest[]): void {
    const told = new Set<string>()
    for (const { scope, stream } of requests) {
      const at = nameKey(scope, stream)
      if (told.has(at)) continue
      told.add(at)
      this.#context.touch('stream', scope, stream)
    }
  }

  async #run(batch: readonly Pending<StreamWriteRequest, readonly StreamWriteOutcome[]>[]): Promise<void> {
    const requests = batch.map(({ request }) => request)
    const answers = await this.#context.db.transaction((transaction) => this.apply(transaction, requests))
    for (const [i, { resolve }] of batch.entries()) resolve(answers[i]!)
    this.tell(requests)
  }

  #append(request: StreamWriteRequest, held: HeldStream, batch: StreamBatch, producers: Producers | undefined): StreamWriteOutcome {
    const at = nameKey(request.scope, request.stream)
    const { now } = request
    const { partitions } = held
    const { messages, producer } = batch
    try {
      const state = producer && producers!.find(held, producer.id)
      if (held.traits.gone) throw new StreamGone(request.stream)
      const answer = admitBatch(request.stream, held.traits, state, batch)
      if (answer) return answer
      const turn = this.#turns.get(at) ?? 0
      const places = placesOf(messages, partitions.length, turn % partitions.length)
      if (partitions.length > 1) this.#turns.set(at, (turn + 1) % partitions.length)
      const offsets = messages.map((message, i) => {
        const partition = partitions[places[i]!]!
        partition.added.push(message)
        partition.writtenAt = Math.max(partition.writtenAt, now)
        return partition.next++
      })
      const outcome = { partitions: places, offsets }
      if (producer) producers!.put(held, producer.id, afterWrite(state, producer, outcome), now)
      held.traits = traitsAfter(held.traits, batch, now)
      held.unused = false
      return outcome
    } catch (error) {
      return refusalOf(error)
    }
  }
}

async function holdStreams(transaction: Transaction, all: readonly StreamWriteRequest[]): Promise<Map<string, HeldStream>> {
  const wanted = new Map(all.map((request) => [nameKey(request.scope, request.stream), request]))
  const names = (requests: readonly StreamWriteRequest[]) => [
    numbers(requests.map(({ scope }) => scope.tenant)),
    texts(requests.map(({ scope }) => scope.namespace)),
    texts(requests.map(({ stream }) => stream)),
  ]
  const each = [...wanted.values()]
  type Found = Scope & TraitRow & { readonly stream: number; readonly name: string }
  let held = await transaction.query<Found>(hold, names(each))
  let made: ReadonlySet<number> = new Set()
  if (held.length < each.length) {
    const there = new Set(held.map((stream) => nameKey(stream, stream.name)))
    // A request that was answered before writes nothing, and so makes no stream.
    const answered = await readKnown(transaction, all)
    const missing = all.filter((request) => {
      const { scope, stream, to } = request
      const at = nameKey(scope, stream)
      return to === undefined && !answered.has(`${scope.tenant} ${answerKey(request)}`) && !there.has(at) && there.add(at)
    })
    const added = await transaction.query<{ stream: number }>(addStreams, [...names(missing), numbers(missing.map(({ now }) => now))])
    made = new Set(added.map(({ stream }) => stream))
    await transaction.query(addFirst, names(missing))
    held = await transaction.query<Found>(hold, names(each))
  }
  const byNumber = new Map(
    held.map((row): [number, HeldStream] => {
      const traits = traitsOf(row)
      return [row.stream, { tenant: row.tenant, stream: row.stream, before: traits, traits, partitions: [], unused: made.has(row.stream) }]
    }),
  )
  const of = [numbers(held.map(({ tenant }) => tenant)), numbers(held.map(({ stream }) => stream))]
  const found = await transaction.query<{ stream: number; partition: number; next: number; writtenAt: number }>(readPartitions, of)
  for (const partition of found) {
    const { tenant, partitions } = byNumber.get(partition.stream)!
    partitions.push({ ...partition, tenant, added: [] })
  }
  return new Map(held.map((stream) => [nameKey(stream, stream.name), byNumber.get(stream.stream)!]))
}

/** What is kept of the producers that write; undefined when none does. */
async function readProducers(
  transaction: Transaction,
  requests: readonly StreamWriteRequest[],
  streams: ReadonlyMap<string, HeldStream>,
): Promise<Producers | undefined> {
  const wanted = requests.flatMap((request) => {
    const stream = streams.get(nameKey(request.scope, request.stream))
    return request.batches.flatMap(({ producer }) => (stream && producer ? [{ stream, id: producer.id }] : []))
  })
  return wanted.length === 0 ? undefined : Producers.read(transaction, wanted)
}

async function readKnown(transaction: Transaction, requests: readonly StreamWriteRequest[]): Promise<Map<string, string>> {
  const named = requests.filter(({ requestId }) => requestId !== '')
  if (named.length === 0) return new Map()
  const ids = [numbers(named.map(({ scope }) => scope.tenant)), texts(named.map(answerKey))]
  const found = await transaction.query<{ tenant: number; id: string; answer: string }>(readAnswers, ids)
  return new Map(found.map(({ tenant, id, answer }) => [`${tenant} ${id}`, answer]))
}

async function store(transaction: Transaction, streams: Map<string, HeldStream>, answers: readonly Answer[]): Promise<void> {
  const unused = [...streams.values()].filter((stream) => stream.unused)
  if (unused.length > 0)
    await transaction.query(unmake, [numbers(unused.map(({ tenant }) => tenant)), numbers(unused.map(({ stream }) => stream))])
  await storeMessages(transaction, [...streams.values()])
  const changed = [...streams.values()].filter(({ before, traits }) => traits !== before)
  if (changed.length > 0) {
    await transaction.query(changeTraits, [
      numbers(changed.map(({ tenant }) => tenant)),
      numbers(changed.map(({ stream }) => stream)),
      numbers(changed.map(({ traits }) => Number(traits.closed))),
      texts(changed.map(({ traits }) => traits.order)),
      numbers(changed.map(({ traits }) => traits.expiresAt)),
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

/** Writes what was added to partitions. */
export async function storeMessages(transaction: Transaction, streams: readonly HeldStream[]): Promise<void> {
  const bytes = new Bytes()
  const chunks: Row[] = []
  const moved: (HeldPartition & { readonly bytes: number })[] = []
  for (const { partitions } of streams) {
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
}

function nameKey({ tenant, namespace }: Scope, name: string): string {
  return `${tenant} ${namespace} ${name}`
}
