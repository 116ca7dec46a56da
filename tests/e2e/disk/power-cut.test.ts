import { setTimeout as sleep } from 'node:timers/promises'
import { Millrace } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { createRandom, type Random, testSeed } from '../harness/random.ts'
import { type ServerProcess, startServer } from '../harness/server.ts'
import { removeFolder, temporaryFolder } from '../harness/temporary.ts'
import { DiskModel } from './disk-model.ts'
import { createRecorder, type Entry, noRecorder, type Recorder } from './recorder.ts'

const long = process.env.MILLRACE_LONG === '1'
/** Recordings, each of a new server. */
const rounds = long ? 14 : 1
/** Power cuts in each. */
const cuts = long ? 15 : 8
/** How long the recorded server works. */
const workMs = 1500
const client = {
  namespace: 'power',
  circuitBreaker: false,
  retry: false,
  logger: { debug() {}, info() {}, warn() {}, error() {} },
} as const

/** What the server acknowledged: what a task must be from then on. */
type Promised = Map<string, 'there' | 'completed'>

describe('the power fails while the server works', () => {
  test(`${rounds * cuts} times: what was acknowledged is on the disk`, { timeout: rounds * 120_000 }, async ({ skip }) => {
    if (noRecorder) skip(noRecorder)
    const random = createRandom(testSeed(20_261_121))
    for (let round = 0; round < rounds; round++) {
      using recorder = createRecorder()
      await work(recorder, random)
      await checkCuts(recorder, random)
    }
  })

  test(`${rounds * cuts} times, and every seventh sync fails: no false acknowledgement`, { timeout: rounds * 120_000 }, async ({
    skip,
  }) => {
    if (noRecorder) skip(noRecorder)
    const random = createRandom(testSeed(20_261_122))
    for (let round = 0; round < rounds; round++) {
      using recorder = createRecorder(7)
      const refused = await work(recorder, random)
      console.log(`${refused} calls were refused`)
      expect(refused).toBeGreaterThan(0)
      await checkCuts(recorder, random)
    }
  })
})

/** Has a recorded server do all kinds of work, over several lives. Returns how many calls it refused. */
async function work(recorder: Recorder, random: Random): Promise<number> {
  await using server = await startRecorded(recorder)
  let refused = 0
  for (let life = 0; life < 4; life++) {
    if (life > 0) await server.restart()
    const mr = new Millrace({ endpoint: server.endpoint, apiKey: server.key, ...client })
    const worker = mr.worker({ tasks: { power: (payload: Uint8Array) => payload.slice(0, 5000) }, concurrency: 20, lease: '2s' })
    worker.on('completed', ({ id }) => recorder.remark('completed', id))
    worker.on('error', () => undefined)
    await worker.start()
    const until = Date.now() + workMs / 4
    const submit = async () => {
      while (Date.now() < until) {
        const payloads = Array.from({ length: random.int(1, 20) }, () => new Uint8Array(random.pick([1, 200, 3000, 40_000])))
        try {
          const { taskIds } = await mr.tasks.submitBatch(
            { function: 'power', tasks: payloads.map((payload) => ({ payload })) },
            { timeout: '2s' },
          )
          recorder.remark('there', taskIds.join(' '))
        } catch {
          refused++
        }
        await sleep(random.int(0, 10))
      }
    }
    await Promise.all(Array.from({ length: 8 }, submit))
    if (random.next() < 0.5) await server.kill()
    await worker.stop({ drain: 200 }).catch(() => undefined)
    await mr.close()
    if (server.child.exitCode === null && server.child.signalCode === null) await server.stop()
  }
  return refused
}

/** A disk that fails its syncs may fail the very start; it is tried until it works. */
async function startRecorded(recorder: Recorder): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startServer({ data: recorder.folder, env: recorder.env })
    } catch (error) {
      if (attempt === 5) throw error
    }
  }
}

/** Starts a server on what the disk held at random moments of the record. */
async function checkCuts(recorder: Recorder, random: Random): Promise<void> {
  const entries = [...recorder.entries()]
  const moments = Array.from({ length: cuts }, () => random.int(0, entries.length)).sort((a, b) => a - b)
  const disk = new DiskModel(recorder.folder, random)
  const promised: Promised = new Map()
  let at = 0
  for (const moment of moments) {
    for (; at < moment; at++) {
      const entry = entries[at]!
      if (entry.kind === 'A') promise(promised, entry)
      else disk.apply(entry)
    }
    const folder = temporaryFolder()
    disk.write(folder)
    await checkServer(folder, promised, `${moment} of ${entries.length}`)
    removeFolder(folder)
  }
  console.log(`${cuts} cuts in ${entries.length} writes and syncs; ${promised.size} tasks acknowledged by the last one`)
  expect(promised.size).toBeGreaterThan(0)
}

function promise(promised: Promised, { path, data }: Entry): void {
  for (const id of data.toString().split(' ')) promised.set(id, path === 'completed' ? 'completed' : (promised.get(id) ?? 'there'))
}

async function checkServer(folder: string, promised: Promised, moment: string): Promise<void> {
  await using server = await startServer({ data: folder })
  await using mr = new Millrace({ endpoint: server.endpoint, apiKey: server.key, ...client })
  const ids = [...promised.keys()]
  const wrong: string[] = []
  for (let i = 0; i < ids.length; i += 500) {
    const some = ids.slice(i, i + 500)
    const found = await mr.tasks.statusBatch(some)
    for (const id of some) {
      const status = found[id]?.status
      if (status === undefined || (promised.get(id) === 'completed' && status !== 'completed')) {
        wrong.push(`${id} is ${status ?? 'lost'}, acknowledged as ${promised.get(id)}`)
      }
    }
  }
  expect(wrong, `the power fails at ${moment}`).toEqual([])
  // It works on.
  const task = await mr.tasks.submit({ function: 'after', payload: null })
  expect((await mr.tasks.status(task.taskId)).status).toBe('pending')
}
