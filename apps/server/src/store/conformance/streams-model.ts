import fc from 'fast-check'
import { expect } from 'vitest'
import type { NewStreamMessage, StreamBatch, StreamProducer, StreamWriteOutcome } from '../stream-port.ts'
import type { Case, Harness } from './harness.ts'
import { historyCase } from './history.ts'

const members = ['ann', 'bob', 'cyd']
const memberMs = 5000
const stream = 's'

interface NewMessage {
  readonly key: string
  readonly partition?: number
}
/** A producer's write: the next one, its last one again, one after a hole, or of an epoch that is new or was replaced. */
type ProducerStep = 'none' | 'next' | 'again' | 'gap' | 'newer' | 'replaced'
type Step =
  | { readonly type: 'write'; readonly batches: readonly (readonly NewMessage[])[]; readonly requestId: string }
  | { readonly type: 'produce'; readonly batch: readonly NewMessage[]; readonly as: ProducerStep }
  | { readonly type: 'put'; readonly partitions?: number; readonly maxAgeMs?: number }
  | { readonly type: 'commit'; readonly group: string; readonly partition: number; readonly back: number; readonly member: string }
  | { readonly type: 'join' | 'leave'; readonly member: string }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'expire' | 'trim' | 'reopen' | 'delete' }

const message: fc.Arbitrary<NewMessage> = fc.record(
  { key: fc.constantFrom('', '', 'a', 'b', 'ü'), partition: fc.constantFrom(0, 0, 1, 2, 4) },
  { requiredKeys: ['key'] },
)
const batch = fc.array(message, { minLength: 1, maxLength: 3 })
const member = fc.constantFrom(...members)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      batches: fc.array(batch, { minLength: 1, maxLength: 3 }),
      requestId: fc.constantFrom('', '', 'r1', 'r2'),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('produce' as const),
      batch,
      as: fc.constantFrom<ProducerStep>('next', 'next', 'again', 'gap', 'newer', 'replaced'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      { type: fc.constant('put' as const), partitions: fc.integer({ min: 1, max: 4 }), maxAgeMs: fc.constantFrom(0, 2000) },
      { requiredKeys: ['type'] },
    ),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      group: fc.constantFrom('fixed', 'shared'),
      partition: fc.integer({ min: 0, max: 4 }),
      back: fc.integer({ min: -1, max: 3 }),
      member,
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom('join' as const, 'join' as const, 'leave' as const), member }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('advance' as const), ms: fc.constantFrom(1, 1000, 3000) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom('expire', 'trim', 'reopen') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete' as const) }) },
)

/** A message as it should be. */
interface Kept {
  readonly text: string
  readonly at: number
}
interface Partition {
  readonly kept: Kept[]
  earliest: number
}

/** A stream in a few lines. Where messages with neither key nor partition go is the store's choice; the model follows it. */
class Model {
  partitions: Partition[] = []
  maxAgeMs = 0
  committed = new Map<string, number[]>()
  /** Where each key goes, while the partitions are as many. */
  places = new Map<string, number>()
  /** Until when members of the shared group are. */
  members = new Map<string, number>()
  producer: { epoch: number; seq: number; answer?: StreamWriteOutcome } = { epoch: 0, seq: -1 }
  /** Outlive the stream. */
  readonly answers = new Map<string, readonly StreamWriteOutcome[]>()
  written = 0

  get exists(): boolean {
    return this.partitions.length > 0
  }

  grow(count: number): void {
    if (count > this.partitions.length) this.places.clear()
    while (this.partitions.length < count) this.partitions.push({ kept: [], earliest: 0 })
  }

  delete(): void {
    Object.assign(this, { partitions: [], maxAgeMs: 0, committed: new Map(), places: new Map(), members: new Map() })
    this.producer = { epoch: 0, seq: -1 }
  }

  /** Makes the stream for a write, if there is none; one whose first write is refused, it takes back. */
  makeFor(): (outcomes: readonly StreamWriteOutcome[]) => void {
    const existed = this.exists
    this.grow(1)
    return (outcomes) => {
      if (!existed && outcomes.every((outcome) => 'error' in outcome)) this.delete()
    }
  }

  latest(partition: number): number {
    return this.partitions[partition]!.kept.length - 1
  }

  committedOf(group: string): number[] {
    const known = this.committed.get(group) ?? []
    const all = this.partitions.map((_, partition) => known[partition] ?? -1)
    this.committed.set(group, all)
    return all
  }
}

const named = (t: Harness) => [t.scope, stream] as const

/** Messages with texts of their own. */
function messagesOf(model: Model, batch: readonly NewMessage[]): NewStreamMessage[] {
  return batch.map((each) => ({ ...each, payload: Buffer.from(`m${model.written++}`), contentType: '', headers: {} }))
}

/** Takes what the store says of a batch into the model, if it can be so. */
function take(model: Model, messages: readonly NewStreamMessage[], outcome: StreamWriteOutcome, now: number): void {
  const count = model.partitions.length
  if (messages.some(({ partition }) => partition !== undefined && partition >= count)) {
    expect(outcome).toMatchObject({ error: { reason: 'VALIDATION' } })
    return
  }
  if ('error' in outcome) throw outcome.error
  const free = new Set<number>()
  for (const [i, { key, partition: wanted, payload }] of messages.entries()) {
    const partition = outcome.partitions[i]!
    expect(partition).toBeLessThan(count)
    if (wanted !== undefined) expect(partition).toBe(wanted)
    else if (key === '') free.add(partition)
    else expect(partition, `the partition of key ${key}`).toBe(model.places.get(key) ?? partition)
    if (wanted === undefined && key !== '') model.places.set(key, partition)
    const { kept } = model.partitions[partition]!
    expect(outcome.offsets[i]).toBe(kept.length)
    kept.push({ text: Buffer.from(payload).toString(), at: now })
  }
  expect(free.size, 'partitions of messages with neither key nor partition').toBeLessThanOrEqual(1)
}

/** Which of a producer's writes a step makes. */
function producerOf({ producer: { epoch, seq } }: Model, as: ProducerStep): StreamProducer {
  const id = 'p'
  if (as === 'again') return { id, epoch, seq: Math.max(seq, 0) }
  if (as === 'gap') return { id, epoch, seq: seq + 2 }
  if (as === 'newer') return { id, epoch: epoch + 1, seq: 0 }
  if (as === 'replaced') return { id, epoch: epoch - 1, seq: seq + 1 }
  return { id, epoch, seq: seq + 1 }
}

async function produce(t: Harness, model: Model, { batch, as }: Step & { type: 'produce' }): Promise<void> {
  const producer = producerOf(model, as)
  if (producer.epoch < 0) return
  const takeBack = model.makeFor()
  const before = model.producer
  const now = t.clock.now()
  const messages = messagesOf(model, batch)
  const batches: StreamBatch[] = [{ messages, producer }]
  const [outcome] = await t.store.streams.write({ scope: t.scope, stream, batches, requestId: '', now })
  const never = before.answer === undefined && before.seq < 0 && before.epoch === 0
  const isRepeat = producer.epoch === before.epoch && producer.seq <= before.seq
  if (!never && producer.epoch < before.epoch) expect(outcome).toMatchObject({ error: { reason: 'CONFLICT' } })
  else if (isRepeat) expect(outcome).toEqual({ ...before.answer, repeatOf: before.seq })
  else if (producer.seq > (producer.epoch === before.epoch ? before.seq : -1) + 1) {
    expect(outcome).toMatchObject({ error: { reason: 'CONFLICT' } })
  } else {
    take(model, messages, outcome!, now)
    if (!('error' in outcome!)) model.producer = { epoch: producer.epoch, seq: producer.seq, answer: outcome! }
  }
  takeBack([outcome!])
}

async function commit(t: Harness, model: Model, step: Step & { type: 'commit' }): Promise<void> {
  const { group, partition, back } = step
  const own = partition < model.partitions.length
  const offset = Math.max(0, own ? model.latest(partition) - back : 0)
  const member = group === 'shared' ? step.member : ''
  const call = t.store.streams.commit(...named(t), [{ group, partition, offset, member }], t.clock.now())
  if (!model.exists) return expect(call).rejects.toMatchObject({ reason: 'NOT_FOUND' })
  const owners = await t.store.streams.owners(...named(t), 'shared')
  const [outcome] = await call
  if (!own || offset > model.latest(partition)) {
    expect(outcome).toMatchObject({ error: { reason: 'VALIDATION' } })
  } else if (member !== '' && owners[partition] !== member) {
    expect(outcome).toMatchObject({ error: { reason: 'CONFLICT' } })
  } else {
    const all = model.committedOf(group)
    all[partition] = Math.max(all[partition]!, offset)
    expect(outcome).toEqual({ committed: all[partition] })
  }
}

async function play(t: Harness, model: Model, step: Step): Promise<void> {
  const { streams } = t.store
  const now = t.clock.now()
  switch (step.type) {
    case 'write': {
      const known = model.answers.get(step.requestId)
      const takeBack = known ? undefined : model.makeFor()
      const all = step.batches.map((each) => messagesOf(model, each))
      const batches = all.map((messages) => ({ messages }))
      const outcomes = await streams.write({ scope: t.scope, stream, batches, requestId: step.requestId, now })
      if (known) {
        expect(outcomes.map(placesOf)).toEqual(known.map(placesOf))
        return
      }
      for (const [i, messages] of all.entries()) take(model, messages, outcomes[i]!, now)
      takeBack?.(outcomes)
      if (step.requestId !== '') model.answers.set(step.requestId, outcomes)
      return
    }
    case 'produce':
      return produce(t, model, step)
    case 'put': {
      const { partitions, maxAgeMs } = step
      const retention = maxAgeMs === undefined ? undefined : { maxAgeMs, maxBytes: 0 }
      const put = streams.put(...named(t), { partitions, retention }, now)
      if (partitions !== undefined && partitions < model.partitions.length) {
        return expect(put).rejects.toMatchObject({ reason: 'FAILED_PRECONDITION' })
      }
      await put
      model.grow(partitions ?? 1)
      if (maxAgeMs !== undefined) model.maxAgeMs = maxAgeMs
      return
    }
    case 'commit':
      return commit(t, model, step)
    case 'join': {
      const join = streams.join(...named(t), 'shared', step.member, now + memberMs)
      if (!model.exists) return expect(join).rejects.toMatchObject({ reason: 'NOT_FOUND' })
      await join
      model.members.set(step.member, now + memberMs)
      return
    }
    case 'leave':
      if (!model.exists) return
      await streams.leave(...named(t), 'shared', step.member)
      model.members.delete(step.member)
      return
    case 'advance':
      return t.clock.advance(step.ms)
    case 'expire': {
      const over = [...model.members].filter(([, until]) => until <= now)
      expect(await streams.expireMembers(now, 100)).toBe(over.length)
      for (const [name] of over) model.members.delete(name)
      return
    }
    case 'trim':
      while ((await streams.trim(now, 2)) > 0);
      if (model.maxAgeMs === 0) return
      for (const partition of model.partitions) {
        while (partition.earliest < partition.kept.length && partition.kept[partition.earliest]!.at <= now - model.maxAgeMs) {
          partition.earliest++
        }
      }
      return
    case 'reopen':
      await t.reopen()
      // Members are calls, which begin anew.
      for (const [name, until] of model.members) await t.store.streams.join(...named(t), 'shared', name, until)
      return
    case 'delete':
      expect(await streams.delete(...named(t))).toBe(model.exists)
      model.delete()
  }
}

function placesOf(outcome: StreamWriteOutcome): unknown {
  return 'error' in outcome ? outcome.error.reason : [outcome.partitions, outcome.offsets]
}

async function agree(t: Harness, model: Model): Promise<void> {
  const { streams } = t.store
  const info = await streams.describe(...named(t))
  expect(info !== undefined).toBe(model.exists)
  if (!info) return
  const expected = model.partitions.map(({ kept, earliest }) => ({ earliest, latest: kept.length - 1 }))
  expect(info.partitions).toMatchObject(expected)
  for (const [number, { kept, earliest }] of model.partitions.entries()) {
    const { slices, next, latest } = await streams.read(...named(t), number, { offset: 0, maxMessages: 1000, maxBytes: 1 << 20 })
    expect(latest).toBe(kept.length - 1)
    if (earliest < kept.length) expect(next).toBe(kept.length)
    const found = slices.flatMap(({ firstOffset, timestamp, messages }) =>
      messages.map(({ payload }, i) => `${firstOffset + i} ${Buffer.from(payload).toString()} ${timestamp}`),
    )
    const there = kept.map(({ text, at }, offset) => `${offset} ${text} ${at}`).slice(earliest)
    expect(found, `partition ${number}`).toEqual(there)
    const time = kept[Math.floor((earliest + kept.length) / 2)]?.at ?? 0
    const first = kept.findIndex(({ at }, offset) => offset >= earliest && at >= time)
    expect(await streams.offsetAt(...named(t), number, time)).toBe(first < 0 ? kept.length : first)
  }
  for (const group of ['fixed', 'shared']) expect(await streams.committed(...named(t), group)).toEqual(model.committedOf(group))
  const owners = await streams.owners(...named(t), 'shared')
  const present = [...model.members.keys()]
  if (present.length === 0) return
  const shares = present.map((name) => owners.filter((owner) => owner === name).length)
  expect(
    shares.reduce((sum, share) => sum + share),
    'partitions that have a member',
  ).toBe(model.partitions.length)
  expect(Math.max(...shares) - Math.min(...shares), 'how uneven the shares are').toBeLessThanOrEqual(1)
}

/** Any history leaves every message where a model says it is. */
export const streamModelCases: readonly Case[] = [
  historyCase({
    name: 'any history of writes, producers, commits, groups, retention and restarts agrees with the model of streams',
    steps: fc.array(step, { minLength: 3, maxLength: 30 }),
    runs: 40,
    begin: () => new Model(),
    play,
    agree,
  }),
]
