import { ConflictError, NotFoundError, ValidationError } from '@millrace/client'
import { expect, test } from 'vitest'
import { freshName, useServer } from '../harness/fixture.ts'
import { until } from '../harness/until.ts'

const fixture = useServer()

/** A stream with so many numbers, in as many partitions. */
async function streamOf(count: number, partitions = 1) {
  const stream = fixture.client().stream<number>(freshName('stream'))
  await stream.create({ partitions })
  for (let i = 0; i < count; i++) await stream.write([{ payload: i, partition: i % partitions }])
  return stream
}

test('a range comes once more to a group of its own; real groups stay where they are, and progress is what is committed', async () => {
  const s = await streamOf(10)
  await s.commit('billing', 0, 9)
  expect(await s.replay.create({ group: 'sandbox', from: 3, to: 8 })).toMatchObject({
    state: 'ready',
    speed: 'full',
    total: 5,
    processed: 0,
    partitions: [{ from: 3, to: 8, committed: -1 }],
  })
  const seen: number[] = []
  const reading = (async () => {
    for await (const message of s.replay.subscribe('sandbox')) {
      seen.push(message.payload)
      await message.commit()
    }
  })()
  expect((await s.replay.start('sandbox')).state).toBe('running')
  await reading
  expect(seen).toEqual([3, 4, 5, 6, 7])
  expect(await s.replay.get('sandbox')).toMatchObject({ state: 'running', total: 5, processed: 5 })
  expect(await s.committed('billing')).toBe(9)
  expect((await s.replay.list()).map(({ group }) => group)).toEqual(['sandbox'])
})

test('paused, it gives nothing, over a crash of the server too; resumed, it goes on after what was committed', async () => {
  const s = await streamOf(6, 2)
  await s.replay.create({ group: 'g' })
  await s.replay.start('g')
  for await (const message of s.replay.subscribe('g')) {
    await message.commit()
    break
  }
  await s.replay.pause('g')
  await fixture.server.kill()
  await fixture.server.restart()
  expect(await s.replay.get('g')).toMatchObject({ state: 'paused', total: 6, processed: 1 })
  const seen: number[] = []
  let assigned = 0
  const reading = (async () => {
    for await (const message of s.replay.subscribe('g', { onAssigned: (partitions) => (assigned = partitions.length) })) {
      seen.push(message.payload)
      await message.commit()
    }
  })()
  await until('the share is known', () => assigned === 2)
  expect(seen).toEqual([])
  await s.replay.resume('g')
  await reading
  expect(seen).toHaveLength(5)
  expect(await s.replay.get('g')).toMatchObject({ processed: 6 })
})

test('at original speed, all come in their order', async () => {
  const s = await streamOf(3)
  expect((await s.replay.create({ group: 'g', speed: 'original' })).speed).toBe('original')
  await s.replay.start('g')
  const seen: number[] = []
  for await (const { payload } of s.replay.subscribe('g')) seen.push(payload)
  expect(seen).toEqual([0, 1, 2])
})

test('stopped, its subscriptions end and it does not start again', async () => {
  const s = await streamOf(3)
  await s.replay.create({ group: 'g' })
  const reading = (async () => {
    for await (const { payload } of s.replay.subscribe('g')) return payload
    return 'ended'
  })()
  expect((await s.replay.stop('g')).state).toBe('stopped')
  expect(await reading).toBe('ended')
  await expect(s.replay.start('g')).rejects.toThrow(ConflictError)
  expect(await s.replay.delete('g')).toBe(true)
  expect(await s.replay.delete('g')).toBe(false)
  await expect(s.replay.get('g')).rejects.toThrow(NotFoundError)
})

test('times become offsets when it is created; what does not fit is refused', async () => {
  const s = await streamOf(3)
  const [, second] = await s.read()
  const { total } = await s.replay.create({ group: 'late', from: new Date(Date.now() + 60_000) })
  expect(total).toBe(0)
  const { partitions } = await s.replay.create({ group: 'before', to: new Date(0) })
  expect(partitions).toEqual([{ from: 0, to: 0, committed: -1 }])
  expect((await s.replay.create({ group: 'from', from: second!.timestamp })).partitions[0]!.from).toBeLessThanOrEqual(1)
  await expect(s.replay.create({ group: 'late' })).rejects.toThrow(ConflictError)
  await s.commit('used', 0, 0)
  await expect(s.replay.create({ group: 'used' })).rejects.toThrow(ConflictError)
  await expect(s.replay.create({ group: 'x', from: 5, to: 2 })).rejects.toThrow(ValidationError)
  await expect(s.replay.create({ group: 'x', from: -1 })).rejects.toThrow(ValidationError)
  // Not the whole stream.
  await expect(s.replay.create({ group: 'x', to: 0 })).rejects.toThrow(/to: 0 is before the first message/)
  await expect(s.replay.create({ group: 'x', from: new Date(2000), to: new Date(1000) })).rejects.toThrow(/toTime: is not after fromTime/)
  await expect(s.replay.pause('late')).rejects.toThrow(ConflictError)
  await expect(fixture.client().stream(freshName('none')).replay.create({ group: 'g' })).rejects.toThrow(NotFoundError)
})
