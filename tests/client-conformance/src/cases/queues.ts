import { type Case, collect, failureOf, sleep } from '../kit.ts'

export const queueCases: readonly Case[] = [
  {
    name: 'a job is enqueued, received and completed',
    expected: {
      enqueued: [true, true, true],
      job: { queue: 'q', payload: { to: 'ada' }, headers: { trace: 'x' }, priority: 5, attempt: 1, maxAttempts: 7 },
      dates: true,
      none: 0,
      info: { status: 'completed', result: { sent: true } },
    },
    async run(kit) {
      const q = kit.client().queue<{ to: string }>('q')
      const { jobId, seq, created } = await q.enqueue({ to: 'ada' }, { headers: { trace: 'x' }, priority: 5, maxAttempts: 7 })
      const [job] = await q.receive({ lease: '30s', wait: '5s' })
      const { queue, payload, headers, priority, attempt, maxAttempts } = job!
      const dates = job!.createdAt.getTime() > 1.7e12 && job!.leaseExpiresAt > job!.createdAt
      await job!.complete({ sent: true })
      const { status, result } = await q.get(jobId)
      return {
        enqueued: [jobId === job!.id, seq > 0, created],
        job: { queue, payload, headers, priority, attempt, maxAttempts },
        dates,
        none: (await q.receive()).length,
        info: { status, result },
      }
    },
  },
  {
    name: 'many jobs enqueued at once arrive in order of priority, then age',
    expected: { created: 50, order: true },
    async run(kit) {
      const q = kit.client().queue<number>('q')
      const results = await q.enqueueBatch(Array.from({ length: 50 }, (_, n) => ({ payload: n, priority: n % 5 })))
      const jobs = await q.receive({ max: 100 })
      const order = jobs.map(({ payload }) => payload)
      const expected = order.toSorted((a, b) => (b % 5) - (a % 5) || a - b)
      return { created: results.filter(({ created }) => created).length, order: order.join() === expected.join() }
    },
  },
  {
    name: 'a wait for jobs is woken by one',
    expected: { payload: 'late', quick: true },
    async run(kit) {
      const q = kit.client().queue<string>('q')
      const begun = Date.now()
      const waiting = q.receive({ wait: '20s' })
      await sleep(100)
      await q.enqueue('late')
      return { payload: (await waiting)[0]!.payload, quick: Date.now() - begun < 10_000 }
    },
  },
  {
    name: 'a job that fails comes again, then is dead, and is replayed',
    expected: { attempts: [1, 2], dead: 'no', replayed: 1, again: 1, purged: 0 },
    async run(kit) {
      const q = kit.client().queue<string>('q')
      await q.setRetryPolicy({ maxAttempts: 2, initialBackoff: 10, jitter: 0 })
      await q.enqueue('x')
      const attempts: number[] = []
      for (let i = 0; i < 2; i++) {
        const [job] = await q.receive({ wait: '10s' })
        attempts.push(job!.attempt)
        await job!.fail(new Error('no'))
      }
      const [dead] = (await q.deadLetters.list()).items
      const replayed = await q.deadLetters.replay(dead!.id)
      const again = await q.receive({ wait: '10s' })
      return { attempts, dead: dead!.error?.message, replayed, again: again.length, purged: await q.deadLetters.purge({ confirm: true }) }
    },
  },
  {
    name: 'a lease is renewed; an old one is refused',
    expected: { longer: true, stale: { name: 'ConflictError', code: 'CONFLICT', statusCode: 409 } },
    async run(kit) {
      const q = kit.client().queue('q')
      await q.enqueue(1)
      const job = (await q.reserve({ lease: '5s', wait: '5s' }))!
      const before = job.leaseExpiresAt
      await job.renew('1m')
      await q.cancel(job.id)
      return { longer: job.leaseExpiresAt.getTime() - before.getTime() > 30_000, stale: await failureOf(job.complete()) }
    },
  },
  {
    name: 'deliveries are pushed, and end when they are left',
    expected: [0, 1, 2, 3, 4],
    async run(kit) {
      const q = kit.client().queue<number>('q')
      const got: number[] = []
      for (let n = 0; n < 3; n++) await q.enqueue(n)
      for await (const job of q.deliveries({ concurrency: 2 })) {
        got.push(job.payload)
        await job.complete()
        if (got.length === 3) for (const n of [3, 4]) await q.enqueue(n)
        if (got.length === 5) break
      }
      return got
    },
  },
  {
    name: 'starts are limited: the others wait',
    expected: {
      received: 2,
      waiting: { blocked: 1, processing: 2 },
      refused: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, fields: ['rateLimit.limit', 'rateLimit.perMs'] },
    },
    async run(kit) {
      const q = kit.client().queue<number>('q')
      const rateLimit = { key: 'ada', limit: 2, per: '1h' } as const
      for (let n = 0; n < 3; n++) await q.enqueue(n, { rateLimit })
      const received = (await q.receive({ max: 10 })).length
      const { blocked, processing } = await q.stats()
      const refused = await failureOf(q.enqueue(0, { rateLimit: { limit: 0, per: 0 } }))
      return { received, waiting: { blocked, processing }, refused }
    },
  },
  {
    name: 'customers take turns',
    expected: {
      mine: true,
      limited: ['large', 'small'],
      refused: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, fields: ['fairKey'] },
    },
    async run(kit) {
      const q = kit.client().queue<string>('q')
      await q.enqueueBatch(Array.from({ length: 100 }, () => ({ payload: 'large', fairKey: 'large' })))
      await q.enqueue('small', { fairKey: 'small' })
      const taken: string[] = []
      while (!taken.includes('small')) taken.push(...(await q.receive({ max: 10, wait: '5s' })).map(({ payload }) => payload))
      const shared = kit.client().queue<string>('shared')
      const concurrency = { limit: 1 }
      await shared.enqueueBatch(Array.from({ length: 50 }, () => ({ payload: 'large', fairKey: 'large', concurrency })))
      await shared.enqueue('small', { fairKey: 'small', concurrency })
      const limited: string[] = []
      while (limited.length < 4) {
        const job = await shared.reserve({ wait: '5s' })
        limited.push(job!.payload)
        await job!.complete()
      }
      const refused = await failureOf(q.enqueue('x', { fairKey: 'x'.repeat(256) }))
      return { mine: taken.length <= 70, limited: [...new Set(limited)].sort(), refused }
    },
  },
  {
    name: 'triggers are debounced, repeats deduplicated, and wrong ones refused',
    expected: {
      created: [true, false, true, false],
      same: [true, true],
      payload: 1,
      refused: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, fields: ['expiresInMs', 'debounce'] },
    },
    async run(kit) {
      const q = kit.client().queue<number>('q')
      const debounce = { key: 'ada', delay: '1h', maxDelay: '2h' } as const
      const deduplicate = { key: 'ada', window: '1h' } as const
      const results = []
      for (const options of [{ debounce }, { debounce }, { deduplicate }, { deduplicate }]) {
        results.push(await q.enqueue(results.length, { ...options, expiresIn: '3h' }))
      }
      const [a, b, c, d] = results.map(({ jobId }) => jobId)
      const { payload } = await q.get(a!)
      const refused = await failureOf(q.enqueue(0, { debounce, delay: '1s', expiresIn: '1h' }))
      return { created: results.map(({ created }) => created), same: [a === b, c === d], payload, refused }
    },
  },
  {
    name: 'settings, counts and lists',
    expected: {
      policy: { maxAttempts: 4, initialBackoff: 2000, maxBackoff: 60_000, multiplier: 3, strategy: 'linear', jitter: 0 },
      depth: 100,
      paused: [true, 0],
      stats: { pending: 1, scheduled: 1, processing: 0, total: 2 },
      names: ['a', 'b', 'q'],
    },
    async run(kit) {
      const mr = kit.client()
      const q = mr.queue('q')
      const policy = await q.setRetryPolicy({
        maxAttempts: 4,
        initialBackoff: '2s',
        maxBackoff: '1m',
        multiplier: 3,
        strategy: 'linear',
        jitter: 0,
      })
      const { maxDepth } = await q.update({ maxDepth: 100 })
      await q.enqueue(1)
      await q.enqueue(2, { delay: '1h' })
      await q.pause()
      const paused = [(await q.info()).paused, (await q.receive()).length]
      await q.resume()
      const { pending, scheduled, processing, total } = await q.stats()
      for (const name of ['a', 'b']) await mr.queue(name).enqueue(0)
      const names = (await collect(mr.queues.list({ limit: 2 }))).map(({ name }) => name)
      return { policy, depth: maxDepth, paused, stats: { pending, scheduled, processing, total }, names }
    },
  },
  {
    name: 'a full queue holds calls back until there is room, and says so when there is none in time',
    expected: {
      full: { name: 'QuotaExceededError', code: 'QUOTA_EXCEEDED', statusCode: 429, quota: { type: 'queue_depth', current: 1, limit: 1 } },
      later: true,
    },
    async run(kit) {
      const q = kit.client().queue('q')
      await q.update({ maxDepth: 1 })
      await q.enqueue(1)
      // The server asks for 250 ms: the second try is the last, and has time for its answer.
      const full = await failureOf(q.enqueue(2, {}, { timeout: 490 }))
      const later = q.enqueue(3, {}, { timeout: '20s' })
      const [job] = await q.receive()
      await job!.complete()
      return { full, later: (await later).created }
    },
  },
]
