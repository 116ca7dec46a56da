import type { RateLimitError } from '@millrace/core'
import { type Case, failureOf, sleep } from '../kit.ts'

const unauthenticated = { name: 'AuthenticationError', code: 'UNAUTHENTICATED', statusCode: 401, requestId: 'given' }

export const clientCases: readonly Case[] = [
  {
    name: 'a client is ready when the server is, and says how it is',
    expected: { healthy: true, version: 'string', nodes: { active: 1, total: 1 }, queue: 'number' },
    async run(kit) {
      const mr = kit.client()
      await mr.ready({ timeout: '10s' })
      const { healthy, version, nodes, queue } = await mr.health()
      return { healthy, version: typeof version, nodes, queue: typeof queue.depth }
    },
  },
  {
    name: 'a client lists the services of the server',
    expected: { tasks: { name: 'tasks', healthy: true }, kv: { name: 'kv', healthy: true } },
    async run(kit) {
      const services = await kit.client().cluster.services()
      return Object.fromEntries(['tasks', 'kv'].map((wanted) => [wanted, services.find(({ name }) => name === wanted)]))
    },
  },
  {
    name: 'namespaces do not see each other',
    expected: { other: { name: 'TaskNotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'task' }, listed: 0 },
    async run(kit) {
      const other = kit.client({ namespace: `${kit.namespace}-other` })
      const { taskId } = await kit.client().tasks.submit({ function: 'later', delay: '1h' })
      return { other: await failureOf(other.tasks.get(taskId)), listed: (await other.tasks.list()).items.length }
    },
  },
  {
    name: 'what is wrong with a request is told by place, by the client and by the server',
    expected: {
      function: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, fields: ['function'] },
      queue: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['queue'] },
      batch: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['tasks[1].priority'] },
      duration: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, fields: ['timeout'] },
      page: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['limit'] },
    },
    async run(kit) {
      const { tasks } = kit.client()
      return {
        function: await failureOf(tasks.submit({ function: 'not a name' })),
        queue: await failureOf(kit.client().queue('not a name').stats()),
        batch: await failureOf(tasks.submitBatch({ tasks: [{}, { priority: 1000 }] })),
        duration: await failureOf(tasks.submit({ timeout: 'soon' as '1s' })),
        page: await failureOf(tasks.list({ limit: 100_000 })),
      }
    },
  },
  {
    name: 'what does not exist, what may not be done, and who is not known, are errors of their own',
    expected: {
      task: { name: 'TaskNotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'task' },
      job: { name: 'JobNotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'job' },
      watch: { name: 'TaskNotFoundError', code: 'NOT_FOUND', statusCode: 404, resource: 'task' },
      scope: {
        name: 'PermissionDeniedError',
        code: 'PERMISSION_DENIED',
        statusCode: 403,
        requestId: 'given',
        requiredScope: 'tasks:write',
      },
      key: unauthenticated,
    },
    async run(kit) {
      const mr = kit.client()
      return {
        task: await failureOf(mr.tasks.get('task_00000000000')),
        job: await failureOf(mr.queue('q').get('job_00000000000')),
        watch: await failureOf(mr.tasks.wait('task_00000000000')),
        scope: await failureOf(kit.client({ apiKey: kit.readOnlyKey }).tasks.submit({})),
        key: await failureOf(kit.client({ apiKey: 'mr_nobody' }).health()),
      }
    },
  },
  {
    name: 'a call is aborted before, during and while it waits; a wait ends at its time',
    expected: {
      early: { name: 'AbortError', code: 'ABORTED', statusCode: 499 },
      during: { name: 'AbortError', code: 'ABORTED', statusCode: 499 },
      wait: { name: 'AbortError', code: 'ABORTED', statusCode: 499 },
      watch: { name: 'AbortError', code: 'ABORTED', statusCode: 499 },
      taskTimeout: { name: 'TaskTimeoutError', code: 'TASK_TIMEOUT', statusCode: 504 },
    },
    async run(kit) {
      const mr = kit.client()
      const q = mr.queue('q')
      const { taskId } = await mr.tasks.submit({ function: 'later', delay: '1h' })
      const soon = () => {
        const abort = new AbortController()
        setTimeout(() => abort.abort(new Error('enough')), 150)
        return abort.signal
      }
      const leave = new AbortController()
      const watch = mr.tasks.watch(taskId, { signal: leave.signal })[Symbol.asyncIterator]()
      await watch.next()
      const left = failureOf(watch.next())
      leave.abort()
      return {
        early: await failureOf(q.stats({ signal: AbortSignal.abort() })),
        during: await failureOf(q.receive({ wait: '20s', signal: soon() })),
        wait: await failureOf(mr.tasks.wait(taskId, { signal: soon() })),
        watch: await left,
        taskTimeout: await failureOf(mr.tasks.wait(taskId, { timeout: 150 })),
      }
    },
  },
  {
    name: 'a server that is not there is UnavailableError, then an open circuit',
    expected: {
      first: { name: 'UnavailableError', code: 'UNAVAILABLE', statusCode: 503 },
      second: { name: 'CircuitOpenError', code: 'CIRCUIT_OPEN', statusCode: 503 },
    },
    async run(kit) {
      // Port 9 discards what it gets, where it is there at all.
      const endpoint = kit.endpoint.replace(/:\d+$/, ':9')
      const mr = kit.client({ endpoint, timeout: '2s', retry: false, circuitBreaker: { failureThreshold: 1 } })
      const timesOut = (failure: unknown) => JSON.stringify(failure).includes('TimeoutError')
      const first = await failureOf(mr.health())
      // Some networks drop what goes to a closed port.
      const known = timesOut(first) ? { name: 'UnavailableError', code: 'UNAVAILABLE', statusCode: 503 } : first
      return { first: known, second: await failureOf(mr.health()) }
    },
  },
  {
    name: 'a closed client fails what waits and what comes',
    expected: Array.from({ length: 4 }, () => ({ name: 'UnavailableError', code: 'UNAVAILABLE', statusCode: 503 })),
    async run(kit) {
      const mr = kit.client()
      const { taskId } = await mr.tasks.submit({ function: 'later', delay: '1h' })
      const wait = failureOf(mr.tasks.wait(taskId))
      const receive = failureOf(mr.queue('q').receive({ wait: '20s' }))
      const logs = failureOf(mr.tasks.logs(taskId, { follow: true })[Symbol.asyncIterator]().next())
      await sleep(150)
      await mr.close()
      return [await wait, await receive, await logs, await failureOf(mr.health())]
    },
  },
  {
    name: 'keys and tokens are made, limited and revoked',
    expected: {
      token: true,
      read: true,
      write: {
        name: 'PermissionDeniedError',
        code: 'PERMISSION_DENIED',
        statusCode: 403,
        requestId: 'given',
        requiredScope: 'tasks:write',
      },
      foreign: { name: 'TaskNotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'task' },
      revoked: unauthenticated,
      listed: true,
    },
    async run(kit) {
      const mr = kit.client()
      const { keyId, key } = await mr.keys.create({ name: kit.namespace, scopes: ['tasks:read', 'tasks:write'] })
      const owner = kit.client({ apiKey: key })
      const mine = await owner.tasks.submit({ function: 'later', delay: '1h' })
      const other = await owner.tasks.submit({ function: 'later', delay: '1h' })
      const { token, expiresAt } = await owner.tokens.create({ scopes: ['tasks:read'], ttl: '1m', resources: { tasks: [mine.taskId] } })
      const guest = kit.client({ token })
      const read = (await guest.tasks.get(mine.taskId)).taskId === mine.taskId
      const write = await failureOf(guest.tasks.submit({}))
      const foreign = await failureOf(guest.tasks.get(other.taskId))
      await mr.keys.revoke(keyId)
      const left = expiresAt.getTime() - Date.now()
      return {
        token: token.startsWith('mrt_') && left > 30_000 && left <= 60_000,
        read,
        write,
        foreign,
        revoked: await failureOf(guest.health()),
        listed: (await mr.keys.list()).items.some((each) => each.keyId === keyId && each.revokedAt instanceof Date),
      }
    },
  },
  {
    name: 'the limits of a key are told, waited for, and errors of their own',
    expected: {
      free: true,
      quotas: true,
      waited: 8,
      limit: { limit: 5, left: true, resetAt: true },
      refused: [{ name: 'RateLimitError', retryAfter: true }],
    },
    async run(kit) {
      const mr = kit.client()
      const { key } = await mr.keys.create({ name: kit.namespace, scopes: ['tasks:read'], rateLimit: 5 })
      const limited = kit.client({ apiKey: key })
      const waited = (await Promise.all(Array.from({ length: 8 }, () => limited.health()))).length
      const { limit, remaining, resetAt } = await limited.account.rateLimit()
      const hasty = kit.client({ apiKey: key, retry: false })
      const ends = await Promise.allSettled(Array.from({ length: 60 }, () => hasty.health()))
      const refused = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as RateLimitError] : []))
      const { queues } = await mr.account.quotas()
      return {
        free: (await mr.account.rateLimit()).remaining === Infinity,
        quotas: queues!.limit > queues!.used,
        waited,
        limit: { limit, left: remaining >= 0 && remaining < 5, resetAt: resetAt instanceof Date },
        refused: refused.slice(0, 1).map(({ name, retryAfter }) => ({ name, retryAfter: retryAfter! > 0 && retryAfter! <= 1 })),
      }
    },
  },
  {
    name: 'a token that ends is replaced while calls and a watch go on',
    expected: { status: 'completed', again: true },
    async run(kit) {
      const { tokens } = kit.client()
      let made = 0
      const token = async () => {
        made++
        return (await tokens.create({ scopes: ['tasks:read', 'tasks:write'], ttl: '2s' })).token
      }
      const mr = kit.client({ token })
      const task = await mr.tasks.submit({ function: 'steps', payload: 25 })
      const { status } = await task.wait({ timeout: '25s' })
      await mr.tasks.get(task.taskId)
      return { status, again: made >= 2 }
    },
  },
]
