import { once } from 'node:events'
import { connect } from 'node:net'
import { type ProcessJobsRequest, type ProcessJobsResponse, type Settlement, Settlement_Complete } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { heartbeatMs } from '../src/transport/http/event-streams.ts'
import { type Clients, newJob, newTask, Outgoing, startTestServer } from './harness.ts'
import { type EventReader, openEvents } from './http-client.ts'

async function start(...args: Parameters<typeof startTestServer>) {
  const test = await startTestServer(...args)
  const open = (path: string, headers: Record<string, string> = {}) =>
    openEvents(`http://${test.server.http}${path}`, { 'x-api-key': test.server.key!, ...headers })
  return { ...test, open }
}

/** Takes the one task there is, as a worker. */
async function take(admin: Clients) {
  const outgoing = new Outgoing<ProcessJobsRequest>()
  const incoming = admin.workers.processJobs(outgoing)[Symbol.asyncIterator]()
  const subscribe = { queue: '', functions: ['work'], workerId: 'w', leaseMs: 0, maxInFlight: 1, attestation: undefined }
  outgoing.send({ message: { $case: 'subscribe', value: subscribe } })
  for (;;) {
    const { value } = await incoming.next()
    const message = (value as ProcessJobsResponse).message!
    if (message.$case !== 'deliveries') continue
    const { jobId, leaseToken } = message.value.jobs[0]!
    const settle = (action: Settlement['action']) => admin.queues.settleJobs({ settlements: [{ jobId, leaseToken, action }] })
    return {
      progress: (percent: number) => settle({ $case: 'progress', value: { percent, message: `at ${percent}` } }),
      complete: (result: string) => settle({ $case: 'complete', value: Settlement_Complete.fromPartial({ result: Buffer.from(result) }) }),
      log: (text: string) =>
        settle({ $case: 'log', value: { entries: [{ timestamp: new Date(), level: 2, message: text, fieldsJson: '', sequence: 0 }] } }),
    }
  }
}

const submit = async (admin: Clients) => (await admin.tasks.submitTask({ task: newTask(), requestId: '' })).taskId

describe('events of a task', () => {
  it('show its life to the end', async () => {
    const { admin, open } = await start()
    const taskId = await submit(admin)
    const events = await open(`/v1/tasks/${taskId}/events`)
    expect(events.response).toMatchObject({
      statusCode: 200,
      headers: {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
        'request-id': expect.any(String),
      },
    })
    expect(await events.data()).toMatchObject({ update: { taskId, state: 'pending' } })
    const job = await take(admin)
    expect(await events.data()).toMatchObject({ update: { state: 'running' } })
    await job.progress(50)
    expect(await events.next()).toMatchObject({
      value: { id: expect.stringMatching(/^\d+$/), data: { update: { progress: 50, message: 'at 50' } } },
    })
    await job.complete('{"ok":true}')
    expect(await events.data()).toMatchObject({ update: { state: 'completed', result: { ok: true } } })
    expect(await events.next()).toEqual({ done: false, value: { event: 'end', data: {} } })
    expect(await events.next()).toMatchObject({ done: true })
    expect(events.text).toMatch(/^retry: \d+\n\n/)
  })

  it('go on after the last one seen, across a restart, without gap or repetition', async () => {
    const { admin, open, server, data } = await start()
    const taskId = await submit(admin)
    const path = `/v1/tasks/${taskId}/events`
    const first = await open(path)
    const { value: seen } = await first.next()
    const job = await take(admin)
    await job.progress(10)
    const ids = [Number(seen!.id)]
    for await (const { id, data: said } of first) {
      ids.push(Number(id))
      if ((said.update as { progress: number }).progress === 10) break
    }
    await server.stop()
    expect(await first.next()).toMatchObject({ value: { event: 'problem', data: { code: 'UNAVAILABLE', requestId: expect.any(String) } } })

    const again = await start({ data })
    const resumed = await again.open(path, { 'last-event-id': String(ids.at(-1)) })
    const settlement = again.admin.tasks.cancelTask({ taskId, reason: '' })
    for await (const { id, event, data: said } of resumed) {
      if (event === 'end') break
      ids.push(Number(id))
      expect(said).toMatchObject({ update: { state: 'cancelled' } })
    }
    await settlement
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
    const byQuery = await again.open(`${path}?lastEventId=${ids.at(-2)}`)
    expect(await byQuery.next()).toMatchObject({ value: { id: String(ids.at(-1)) } })
  })

  it('are over for who has seen the last one', async () => {
    const { admin, open } = await start()
    const taskId = await submit(admin)
    const { task } = await admin.tasks.cancelTask({ taskId, reason: '' })
    const path = `/v1/tasks/${taskId}/events`
    expect((await open(path, { 'last-event-id': String(task!.revision) })).response.statusCode).toBe(204)
    expect((await open(path, { 'last-event-id': 'yesterday' })).response.statusCode).toBe(400)
  })

  it('of its log are numbered by line', async () => {
    const { admin, open } = await start()
    const taskId = await submit(admin)
    const job = await take(admin)
    await job.log('one')
    await job.log('two')
    const path = `/v1/tasks/${taskId}/logs:tail`
    expect(await (await open(path)).next()).toMatchObject({
      value: { id: '2', data: { entries: [{ message: 'one', level: 'info' }, { sequence: 2 }] } },
    })
    const rest = await open(path, { 'last-event-id': '1' })
    expect(await rest.data()).toMatchObject({ entries: [{ message: 'two' }] })
    await job.complete('1')
    expect(await rest.next()).toMatchObject({ value: { event: 'end' } })
  })

  it('end when the key does', async () => {
    const { admin, open } = await start()
    const taskId = await submit(admin)
    const { key, secret } = await admin.keys.createKey({
      name: 'k',
      tenant: '',
      scopes: ['tasks:read'],
      namespaces: [],
      rateLimit: 0,
      expiresAt: undefined,
    })
    const events = await open(`/v1/tasks/${taskId}/events`, { 'x-api-key': secret })
    await events.next()
    await admin.keys.revokeKey({ keyId: key!.keyId, tenant: '' })
    expect(await events.next()).toMatchObject({ value: { event: 'problem', data: { code: 'UNAUTHENTICATED', status: 401 } } })
    expect(await events.next()).toMatchObject({ done: true })
  })
})

describe('streams', () => {
  it('begin when nothing happens, and show that they live', async () => {
    const clock = new ManualClock()
    const { open } = await start({}, clock)
    const events = await moving(clock, 100, open('/v1/queues/q/jobs:stream?maxInFlight=1'))
    await moving(
      clock,
      heartbeatMs,
      until(() => /^retry: \d+\n\n(:\n\n)+$/.test(events.text)),
    )
  })

  it('of lists and counts show changes', async () => {
    const { admin, open } = await start()
    const tasks = await open('/v1/tasks:watch?states=pending')
    const counts = await open('/v1/queues/default/stats:watch')
    expect(await tasks.data()).toEqual({ tasks: [], more: false })
    expect(await counts.data()).toMatchObject({ stats: { pending: 0 } })
    const taskId = await submit(admin)
    expect(await tasks.data()).toMatchObject({ tasks: [{ taskId }] })
    expect(await counts.data()).toMatchObject({ stats: { pending: 1 } })
  })

  it('of messages go on after the last one, wherever their address says to begin', async () => {
    const { open, server } = await start()
    const write = (payload: string) =>
      fetch(`http://${server.http}/v1/streams/s/messages`, {
        method: 'POST',
        headers: { 'x-api-key': server.key!, 'content-type': 'application/json' },
        body: JSON.stringify({ messages: [{ payload, partition: 0 }] }),
      })
    expect((await write('one')).status).toBe(200)
    const path = '/v1/streams/s/partitions/0/events?start=earliest'
    // The first event may say no more than where the reader is.
    const firstOf = async (events: EventReader) => {
      for await (const event of events) if ((event.data.messages as unknown[]).length > 0) return event
      throw new Error('the stream has ended')
    }
    const first = await firstOf(await open(path))
    expect(first).toMatchObject({ id: '1', data: { messages: [{ payload: 'one', offset: 0 }] } })
    await write('two')
    expect(await firstOf(await open(path, { 'last-event-id': first.id! }))).toMatchObject({ data: { messages: [{ payload: 'two' }] } })
  })

  it('leave nothing behind when their readers go', async () => {
    const { admin, open, server } = await start()
    const taskId = await submit(admin)
    const events = await open(`/v1/tasks/${taskId}/events`)
    await events.next()
    events.close()
    // A stream that were still open would keep the server for the whole of its grace.
    await server.stop()
  })
})

it('a reader that does not read is disconnected, and what waits for it stays bounded', async () => {
  const clock = new ManualClock()
  const { admin, server } = await start({}, clock)
  const payload = Buffer.from(JSON.stringify('x'.repeat(100_000)))
  const jobs = Array.from({ length: 300 }, () => newJob({ payload }))
  await admin.queues.enqueueJobs({ queue: 'q', jobs, requestId: '', allowPartial: false })
  const { hostname, port } = new URL(`http://${server.http}`)
  const socket = connect(Number(port), hostname)
  const path = '/v1/queues/q/jobs:stream?maxInFlight=300&leaseMs=40000000'
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nx-api-key: ${server.key}\r\n\r\n`)
  await once(socket, 'readable')
  // The server writes until the kernel takes no more; then its heartbeats find that nothing moves.
  for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve))
  for (let beat = 0; beat < 5; beat++) await clock.advance(heartbeatMs)
  // What the kernel took is read now; the end follows, long before all of 30 MB.
  let bytes = 0
  socket.on('data', (chunk) => {
    bytes += chunk.length
  })
  socket.on('error', () => undefined)
  await moving(clock, heartbeatMs, once(socket, 'close'))
  expect(bytes).toBeLessThan(20_000_000)
})

/** Moves the clock until the promise has settled. */
async function moving<T>(clock: ManualClock, ms: number, promise: Promise<T>): Promise<T> {
  let done = false
  const settled = promise.finally(() => {
    done = true
  })
  while (!done) await clock.advance(ms)
  return settled
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}
