import { describe, expect, it } from 'vitest'
import { startServer } from '../src/serve.ts'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { type Clients, connectTo, failureOf, newJob, newTask, startTestServer, temporaryFolder } from './harness.ts'

const none = { ttlMs: 0, namespaces: [], user: '', resources: undefined }
const enqueue = (client: Clients, queue: string, allowPartial = false) =>
  client.queues.enqueueJobs({ queue, jobs: [newJob()], requestId: '', allowPartial })
const submit = async (client: Clients, task = newTask()) => (await client.tasks.submitTask({ task, requestId: '' })).taskId
const refusal = async (call: Promise<unknown>) => (await failureOf(call)).details

describe('a token', () => {
  it('may what it was made for, and no more', async () => {
    const { server, admin } = await startTestServer()
    const { token, expiresAt } = await admin.tokens.createToken({ ...none, scopes: ['tasks:read'] })
    expect(token).toMatch(/^mrt_[\w-]+\.[\w-]+$/)
    expect(expiresAt!.getTime() - Date.now()).toBeGreaterThan(14 * 60_000)
    expect(expiresAt!.getTime() - Date.now()).toBeLessThanOrEqual(15 * 60_000)
    const client = connectTo(server, token)
    const taskId = await submit(admin)
    expect((await client.tasks.getTask({ taskId })).task!.taskId).toBe(taskId)
    expect(await refusal(submit(client))).toMatchObject({ reason: 'PERMISSION_DENIED', requiredScope: 'tasks:write' })
    expect((await refusal(client.tokens.createToken({ ...none, scopes: ['tasks:read'] }))).message).toMatch(/token cannot make tokens/)
    expect((await refusal(connectTo(server, token, 'other').tasks.getTask({ taskId }))).message).toMatch(/namespace 'other', only default/)
  })

  it('never may more than its key', async () => {
    const { server, admin } = await startTestServer()
    const key = { name: 'k', tenant: '', scopes: ['tasks:read'], namespaces: ['a'], rateLimit: 0, expiresAt: new Date(Date.now() + 60_000) }
    const client = connectTo(server, (await admin.keys.createKey(key)).secret, 'a')
    expect(await refusal(client.tokens.createToken({ ...none, scopes: ['tasks:write'] }))).toMatchObject({ requiredScope: 'tasks:write' })
    const elsewhere = client.tokens.createToken({ ...none, scopes: ['tasks:read'], namespaces: ['a', 'b'] })
    expect((await refusal(elsewhere)).message).toMatch(/may not use the namespace 'b'/)
    const { expiresAt } = await client.tokens.createToken({ ...none, scopes: ['tasks:read'], ttlMs: 24 * 3_600_000 })
    expect(expiresAt!.getTime()).toBeLessThanOrEqual(key.expiresAt.getTime())
  })

  it('says what is wrong with a request for one', async () => {
    const { admin } = await startTestServer()
    const fields = async (request: Partial<Parameters<Clients['tokens']['createToken']>[0]>) =>
      (await refusal(admin.tokens.createToken({ ...none, scopes: ['tasks:read'], ...request }))).fields!.map(({ path }) => path)
    expect(await fields({ scopes: [] })).toEqual(['scopes'])
    expect(await fields({ scopes: ['tasks:eat'] })).toEqual(['scopes[0]'])
    expect(await fields({ ttlMs: 999 })).toEqual(['ttlMs'])
    expect(await fields({ ttlMs: 24 * 3_600_000 + 1 })).toEqual(['ttlMs'])
    expect(await fields({ namespaces: ['a b'] })).toEqual(['namespaces[0]'])
    const resources = { taskIds: ['job_1'], queues: ['a b'], functions: ['c d'] }
    expect(await fields({ resources })).toEqual(['resources.queues', 'resources.functions', 'resources.taskIds'])
    const limited = { taskIds: [], queues: ['q'], functions: [] }
    expect(await fields({ scopes: ['workers', 'admin'], resources: limited })).toEqual(['resources', 'resources'])
  })

  it('is not made when it is longer than what is taken', async () => {
    const { server, admin } = await startTestServer()
    const named = (count: number) => Array.from({ length: count }, (_, i) => `${i}`.padStart(100, 'n'))
    const make = (functions: string[], namespaces: string[] = []) => {
      const resources = functions.length > 0 ? { taskIds: [], queues: [], functions } : undefined
      return admin.tokens.createToken({ ...none, scopes: ['tasks:read'], namespaces, resources })
    }
    const fieldsOf = async (call: Promise<unknown>) => (await refusal(call)).fields
    const message = expect.stringMatching(/^makes a token of \d+ characters; at most 8192 are taken\. Name fewer/)
    expect(await fieldsOf(make(named(100)))).toEqual([{ path: 'resources', message }])
    expect(await fieldsOf(make([], named(100)))).toEqual([{ path: 'namespaces', message }])
    const { token } = await make(named(57))
    expect(token.length).toBeGreaterThan(8000)
    const { tasks } = await connectTo(server, token).tasks.getTasks({ taskIds: [await submit(admin)] })
    expect(tasks).toEqual([])
  })

  it('ends at its time, and its open streams with it, and says so in a way that programs can act on', async () => {
    const clock = new ManualClock(Date.now())
    const { server, admin } = await startTestServer({}, clock)
    const { token } = await admin.tokens.createToken({ ...none, scopes: ['tasks:read', 'queues:write'], ttlMs: 60_000 })
    const client = connectTo(server, token)
    const taskId = await submit(admin)
    const stream = client.tasks.watchTask({ taskId, afterRevision: 0 })[Symbol.asyncIterator]()
    await stream.next()
    const waited = failureOf(client.queues.receiveJobs({ queue: 'q', maxJobs: 1, leaseMs: 0, waitMs: 60_000, workerId: '' }))
    const ended = failureOf(Promise.resolve(stream.next()))
    await clock.advance(58_000)
    await client.cluster.getHealth({})
    await clock.advance(2000)
    for (const failure of [await ended, await waited, await failureOf(client.cluster.getHealth({}))]) {
      expect(failure).toMatchObject({ code: 16, details: { reason: 'TOKEN_EXPIRED' } })
    }
  })

  it('ends at once with its key, and its open streams with it', async () => {
    const { server, admin } = await startTestServer()
    const { key, secret } = await admin.keys.createKey({
      name: 'k',
      tenant: '',
      scopes: [],
      namespaces: [],
      rateLimit: 0,
      expiresAt: undefined,
    })
    const owner = connectTo(server, secret)
    const client = connectTo(server, (await owner.tokens.createToken({ ...none, scopes: ['tasks:read'] })).token)
    const taskId = await submit(admin)
    const stream = client.tasks.watchTask({ taskId, afterRevision: 0 })[Symbol.asyncIterator]()
    await stream.next()
    const ended = failureOf(Promise.resolve(stream.next()))
    await admin.keys.revokeKey({ keyId: key!.keyId, tenant: '' })
    expect((await ended).code).toBe(16)
    expect((await refusal(client.cluster.getHealth({}))).reason).toBe('UNAUTHENTICATED')
  })

  it('is still good after a restart of the server', async () => {
    const data = await temporaryFolder()
    const settings = { data, grpc: '127.0.0.1:0', dev: true, logLevel: 'silent', shutdownGrace: '2s' } as const
    let token = ''
    {
      await using first = await startServer(settings)
      token = (await connectTo(first, first.key).tokens.createToken({ ...none, scopes: ['tasks:read'] })).token
    }
    await using second = await startServer(settings)
    await connectTo(second, token).cluster.getHealth({})
  })

  it('that was changed, cut, or signed elsewhere is refused', async () => {
    const { server, admin } = await startTestServer()
    const other = await startTestServer()
    const { token } = await admin.tokens.createToken({ ...none, scopes: ['tasks:read'] })
    const [body = '', signature = ''] = token.slice(4).split('.')
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
    const changed = (change: object) => `mrt_${Buffer.from(JSON.stringify({ ...claims, ...change })).toString('base64url')}.${signature}`
    const foreign = (await other.admin.tokens.createToken({ ...none, scopes: ['tasks:read'] })).token
    const bad = [
      changed({ scopes: ['root'] }),
      changed({ exp: claims.exp + 1 }),
      changed({ tenant: claims.tenant + 1 }),
      changed({ tenant: '1' }),
      foreign,
      `mrt_${body}.`,
      `mrt_.${signature}`,
      'mrt_.',
      `mrt_${body}.${signature}.${signature}`,
      `${token}AAAA`,
      `mrt_${'A'.repeat(6000)}.${signature}`,
      `mrt_${Buffer.from('null').toString('base64url')}.${signature}`,
    ]
    for (const each of bad)
      expect([each, (await refusal(connectTo(server, each).cluster.getHealth({}))).reason]).toEqual([each, 'UNAUTHENTICATED'])
  })
})

describe('a token for some things', () => {
  const scopes = ['tasks:read', 'tasks:write', 'queues:read', 'queues:write']

  it('reaches its queues alone', async () => {
    const { server, admin } = await startTestServer()
    const resources = { taskIds: [], queues: ['mine'], functions: [] }
    const client = connectTo(server, (await admin.tokens.createToken({ ...none, scopes, resources })).token)
    const theirs = (await enqueue(admin, 'theirs')).results[0]!.jobId
    await enqueue(client, 'mine')
    const [job] = (await client.queues.receiveJobs({ queue: 'mine', maxJobs: 1, leaseMs: 0, waitMs: 0, workerId: '' })).jobs
    await client.queues.completeJob({ queue: '', jobId: job!.jobId, leaseToken: job!.leaseToken, result: Buffer.of(), contentType: '' })
    const theirJob = (await admin.queues.receiveJobs({ queue: 'theirs', maxJobs: 1, leaseMs: 0, waitMs: 0, workerId: '' })).jobs[0]!
    const stolen = { queue: '', jobId: theirJob.jobId, leaseToken: theirJob.leaseToken, result: Buffer.of(), contentType: '' }
    const queue = 'theirs'
    const stream = client.queues.streamJobs({ queue, leaseMs: 0, maxInFlight: 1, workerId: '' })[Symbol.asyncIterator]()
    const denied: Promise<unknown>[] = [
      enqueue(client, queue),
      client.queues.receiveJobs({ queue, maxJobs: 1, leaseMs: 0, waitMs: 0, workerId: '' }),
      Promise.resolve(stream.next()),
      client.queues.getQueueStats({ queue }),
      client.queues.getQueue({ queue }),
      client.queues.pauseQueue({ queue }),
      client.queues.listDeadLetters({ queue, limit: 0, cursor: '' }),
      client.queues.replayDeadLetters({ queue, jobId: '', all: true }),
      client.queues.purgeDeadLetters({ queue, confirm: true }),
      client.queues.listQueues({ limit: 0, cursor: '' }),
      client.cluster.listWorkers({}),
      submit(client),
    ]
    for (const call of denied) expect((await refusal(call)).reason).toBe('PERMISSION_DENIED')
    const hidden = [
      client.queues.getJob({ queue: '', jobId: theirs }),
      client.queues.cancelJob({ queue: '', jobId: theirs, reason: '' }),
      client.queues.completeJob(stolen),
    ]
    for (const call of hidden) expect((await refusal(call)).reason).toBe('NOT_FOUND')
    expect(
      (await client.tasks.listTasks({ labels: {}, states: [], function: '', queue: '', batchId: '', limit: 0, cursor: '' })).tasks,
    ).toEqual([])
  })

  it('reaches its functions alone, and refuses only what goes further', async () => {
    const { server, admin } = await startTestServer()
    const resources = { taskIds: [], queues: [], functions: ['resize'] }
    const client = connectTo(server, (await admin.tokens.createToken({ ...none, scopes, resources })).token)
    const tasks = [newTask({ function: 'resize' }), newTask({ function: 'drop' }), newTask({ function: 'resize' })]
    const { results } = await client.tasks.submitTasks({ tasks, requestId: '', allowPartial: true, batch: false })
    expect(results.map(({ error }) => error?.reason)).toEqual([undefined, 'PERMISSION_DENIED', undefined])
    const whole = client.tasks.submitTasks({ tasks, requestId: '', allowPartial: false, batch: false })
    expect((await refusal(whole)).reason).toBe('PERMISSION_DENIED')
    const other = await submit(admin)
    const { tasks: found } = await client.tasks.getTasks({ taskIds: [results[0]!.taskId, other] })
    expect(found.map(({ taskId }) => taskId)).toEqual([results[0]!.taskId])
    const all = { labels: {}, states: [], function: '', queue: '', batchId: '', limit: 0, cursor: '' }
    expect((await client.tasks.listTasks(all)).tasks).toHaveLength(2)
    expect((await refusal(client.tasks.listTasks({ ...all, function: 'work' }))).reason).toBe('PERMISSION_DENIED')
    expect((await refusal(enqueue(client, 'q'))).reason).toBe('PERMISSION_DENIED')
  })

  it('sees in live views what it sees elsewhere, and shows others no less', async () => {
    const { server, admin } = await startTestServer()
    const resources = { taskIds: [], queues: [], functions: ['resize'] }
    const client = connectTo(server, (await admin.tokens.createToken({ ...none, scopes, resources })).token)
    await submit(admin)
    await submit(admin, newTask({ function: 'resize' }))
    const all = { labels: {}, states: [], function: '', queue: '', batchId: '', limit: 0 }
    const views = [client, admin, client].map((each) => each.tasks.watchTasks(all)[Symbol.asyncIterator]())
    const shown = await Promise.all(views.map(async (view) => (await view.next()).value!.tasks.length))
    expect(shown).toEqual([1, 2, 1])
    await Promise.all(views.map((view) => view.return?.()))
    const stats = client.queues.watchQueueStats({ queue: 'default' })[Symbol.asyncIterator]()
    expect((await refusal(Promise.resolve(stats.next()))).reason).toBe('PERMISSION_DENIED')
  })

  it('reaches its tasks alone', async () => {
    const { server, admin } = await startTestServer()
    const mine = await submit(admin)
    const theirs = await submit(admin)
    const resources = { taskIds: [mine], queues: [], functions: [] }
    const client = connectTo(server, (await admin.tokens.createToken({ ...none, scopes, resources })).token)
    expect((await client.tasks.getTask({ taskId: mine })).task!.taskId).toBe(mine)
    const watch = (taskId: string) => client.tasks.watchTask({ taskId, afterRevision: 0 })[Symbol.asyncIterator]().next()
    expect((await watch(mine)).value!.update!.taskId).toBe(mine)
    const follow = client.tasks.followTasks(
      (async function* () {
        yield { add: [mine, theirs], remove: [], terminalOnly: false }
      })(),
    )
    const told = { updates: [] as string[], missing: [] as string[] }
    for await (const { updates, missing } of follow) {
      told.updates.push(...updates.map(({ taskId }) => taskId))
      told.missing.push(...missing)
      if (told.updates.length > 0 && told.missing.length > 0) break
    }
    expect(told).toEqual({ updates: [mine], missing: [theirs] })
    const hidden: Promise<unknown>[] = [
      client.tasks.getTask({ taskId: theirs }),
      Promise.resolve(watch(theirs)),
      client.tasks.cancelTask({ taskId: theirs, reason: '' }),
      client.tasks.retryTask({ taskId: theirs }),
      client.tasks.listTaskLogs({ taskId: theirs, afterSequence: 0, limit: 0 }),
    ]
    for (const call of hidden) expect((await refusal(call)).reason).toBe('NOT_FOUND')
    expect((await refusal(submit(client))).reason).toBe('PERMISSION_DENIED')
    expect((await client.tasks.cancelTask({ taskId: mine, reason: '' })).task!.taskId).toBe(mine)
  })
})
