import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { ProcessJobsRequest, ProcessJobsResponse, Settlement } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { openTestServer, sql } from '../src/store/postgres/test-database.ts'
import { connectTo, newTask, Outgoing, startTestServer } from './harness.ts'

type Message = NonNullable<ProcessJobsResponse['message']>

const postgres = await openTestServer()

/** Stores that fail, for reasons of their own, at a progress 'unstorable' and at a result of the type 'x/unstorable'. */
const stores = {
  async sqlite() {
    const { server, data } = await startTestServer()
    await server.stop()
    using database = new DatabaseSync(join(data, 'millrace.db'))
    database.exec(`CREATE TRIGGER broken BEFORE UPDATE ON jobs WHEN NEW.message = 'unstorable' OR NEW.result_type = 'x/unstorable'
      BEGIN SELECT RAISE(ABORT, 'broken'); END`)
    return { data }
  },
  async postgres() {
    const { url } = await postgres.create()
    const { server } = await startTestServer({ store: url })
    await server.stop()
    await sql(url, "ALTER TABLE millrace.jobs ADD CHECK (message <> 'unstorable')")
    await sql(url, "ALTER TABLE millrace.completed ADD CHECK (result_type <> 'x/unstorable')")
    return { store: url }
  },
}

const progress = (message: string): Settlement['action'] => ({ $case: 'progress', value: { percent: 1, message } })
const complete = (contentType: string): Settlement['action'] => ({
  $case: 'complete',
  value: { result: Buffer.from('1'), contentType, state: undefined, deleteState: false, proof: undefined },
})

describe.each(['sqlite', 'postgres'] as const)('settlements that the store fails at, on %s', (kind) => {
  it('are refused in their places; the others of their batch are carried out, and the stream goes on', async ({ skip }) => {
    if (kind === 'postgres' && postgres.missing) skip(postgres.missing)
    const { server } = await startTestServer(await stores[kind]())
    const { tasks, queues, workers } = connectTo(server, server.key)
    await tasks.submitTasks({ tasks: Array.from({ length: 4 }, () => newTask()), requestId: '', allowPartial: false, batch: false })
    const outgoing = new Outgoing<ProcessJobsRequest>()
    const stream = workers.processJobs(outgoing)[Symbol.asyncIterator]()
    const take = async () => (await stream.next()).value?.message as Message | undefined
    const subscription = { queue: '', functions: ['work'], workerId: '', leaseMs: 0, maxInFlight: 4, attestation: undefined }
    outgoing.send({ message: { $case: 'subscribe', value: subscription } })
    await take()
    const delivered = await take()
    if (delivered?.$case !== 'deliveries') throw new Error('no deliveries')
    const [a, b, c, d] = delivered.value.jobs as readonly Lease[] as [Lease, Lease, Lease, Lease]
    const settle = async (sequence: number, list: readonly (readonly [Lease, Settlement['action']])[]) => {
      const settlements = list.map(([{ jobId, leaseToken }, action]) => ({ jobId, leaseToken, action }))
      outgoing.send({ message: { $case: 'settle', value: { sequence, settlements } } })
      const answer = await take()
      if (answer?.$case !== 'settled') throw new Error('no answer')
      return { sequence: answer.value.sequence, rejected: answer.value.rejected.map(({ jobId, error }) => [jobId, error?.reason]) }
    }

    const first = await settle(1, [
      [a, complete('')],
      [b, progress('unstorable')],
      [c, complete('x/unstorable')],
      [d, complete('')],
    ])
    expect(first).toEqual({
      sequence: 1,
      rejected: [
        [b.jobId, 'INTERNAL'],
        [c.jobId, 'INTERNAL'],
      ],
    })
    expect(await settle(2, [[c, complete('x/unstorable')]])).toEqual({ sequence: 2, rejected: [[c.jobId, 'INTERNAL']] })
    expect(await settle(3, [[b, progress('good')]])).toEqual({ sequence: 3, rejected: [] })
    const stats = await queues.getQueueStats({ queue: 'default' })
    expect(stats).toMatchObject({ completed: 2, processing: 2 })
    outgoing.end()
  })
})

type Lease = { readonly jobId: string; readonly leaseToken: string }
