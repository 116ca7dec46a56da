import { expect, it } from 'vitest'
import type { JobEngine } from '../domain/jobs/types.ts'
import type { JobRecord } from '../store/ports.ts'
import { TaskUpdates } from './task-updates.ts'

function record(seq: number, revision: number, bytes = 10): JobRecord {
  const fixed = {
    namespace: 'n',
    queue: 'q',
    function: 'f',
    state: 5,
    priority: 0,
    contentType: '',
    headers: {},
    labels: {},
    attempts: 1,
  } as const
  const rest = { maxAttempts: 3, progress: 0, message: '', resultContentType: '', createdAt: 0, updatedAt: 0, workerId: '' }
  return { ...fixed, ...rest, seq, revision, result: Buffer.alloc(bytes) }
}

async function takeAll(updates: TaskUpdates): Promise<[number, number][]> {
  const all: [number, number][] = []
  for (;;) {
    const taken = await updates.take()
    if (taken.length === 0) return all
    all.push(...taken.map(({ seq, revision }): [number, number] => [seq, revision]))
  }
}

it('of each task only the latest change is kept', async () => {
  const updates = new TaskUpdates({} as JobEngine, { tenant: 1, namespace: 'n' })
  updates.put([record(1, 1), record(2, 1)])
  updates.put([record(1, 3), record(3, 1)])
  updates.put([record(1, 2)])
  updates.drop(2)
  expect(await takeAll(updates)).toEqual([
    [1, 3],
    [3, 1],
  ])
})

it('large results are not kept for a slow reader but read again', async () => {
  const read: number[] = []
  const engine = {
    async getMany(_scope: unknown, seqs: readonly number[]) {
      read.push(...seqs)
      return seqs.map((seq) => record(seq, 9, 100_000))
    },
  } as unknown as JobEngine
  const updates = new TaskUpdates(engine, { tenant: 1, namespace: 'n' })
  for (let seq = 1; seq <= 100; seq++) updates.put([record(seq, 1, 100_000)])
  const all = await takeAll(updates)
  expect(all.map(([seq]) => seq)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
  expect(read.length).toBeGreaterThan(80)
  expect(all.filter(([, revision]) => revision === 9).map(([seq]) => seq)).toEqual(read)
})
