import { BackoffStrategy, type JobInfo } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import { type Command, UsageError } from '../command.ts'
import { stateWord } from '../states.ts'
import {
  decodePayload,
  durationFlag,
  flowFlags,
  flowOptions,
  integerFlag,
  limitFlag,
  pairsFlag,
  priorityFlag,
  readPayload,
  showAge,
  showTime,
  textFlag,
} from '../values.ts'

/** Words for strategies, as the SDKs spell them. */
const strategies: Record<number, string> = {
  [BackoffStrategy.FIXED]: 'fixed',
  [BackoffStrategy.LINEAR]: 'linear',
  [BackoffStrategy.EXPONENTIAL]: 'exponential',
}

const queueArg = { name: 'QUEUE', help: 'the name of a queue' }

const list: Command = {
  name: 'queues list',
  summary: 'List the queues of the namespace.',
  options: clientOptions,
  examples: [{ line: 'millrace queues list', does: 'names and settings' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const rows: (string | number)[][] = []
    let cursor = ''
    do {
      const page = await server.queues.listQueues({ limit: 1000, cursor })
      for (const queue of page.queues) {
        const { name, paused, maxDepth, retryPolicy, createdAt } = queue
        const policy = retryPolicy && { ...retryPolicy, strategy: strategies[retryPolicy.strategy] }
        if (flags.json) output.json({ name, paused, maxDepth, retryPolicy: policy, createdAt })
        rows.push([name, paused ? 'paused' : 'active', retryPolicy?.maxAttempts ?? 0, maxDepth || 'default', showTime(createdAt)])
      }
      cursor = page.nextCursor
    } while (cursor !== '')
    if (!flags.json) output.table(['queue', 'status', 'attempts', 'depth limit', 'created'], rows)
    return 0
  },
}

const stats: Command = {
  name: 'queues stats',
  summary: "Count a queue's jobs.",
  args: [queueArg],
  options: clientOptions,
  examples: [{ line: 'millrace queues stats emails --json', does: 'for scripts' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const counts = await server.queues.getQueueStats({ queue: words[0]! })
    if (flags.json) output.json(counts)
    else {
      const { oldestAgeMs, ...numbers } = counts
      output.fields({ ...numbers, 'oldest waits': oldestAgeMs > 0 ? showAge(oldestAgeMs) : undefined })
    }
    return 0
  },
}

const enqueue: Command = {
  name: 'queues enqueue',
  summary: 'Enqueue a job.',
  args: [queueArg, { name: 'PAYLOAD', help: 'JSON, or - to read it from standard input; null when left out', optional: true }],
  options: [
    { name: 'priority', placeholder: 'PRIORITY', help: 'low, normal, high, critical, or -100 to 100.', default: 'normal' },
    { name: 'delay', placeholder: 'TIME', help: 'Wait before the first attempt, such as 30s.' },
    { name: 'timeout', placeholder: 'TIME', help: 'Longest time of one attempt.' },
    { name: 'max-attempts', placeholder: 'N', help: 'Attempts in all instead of the policy of the queue.' },
    { name: 'header', placeholder: 'NAME=VALUE', help: 'A header for the handler.', multiple: true },
    { name: 'idempotency-key', placeholder: 'KEY', help: 'The same key again returns the first job.' },
    ...flowOptions,
    ...clientOptions,
  ],
  examples: [
    { line: `millrace queues enqueue emails '{"to":"ada@example.com"}' --priority 5`, does: 'one job' },
    { line: 'millrace queues enqueue emails - < mail.json', does: 'with a payload from a file' },
  ],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    const [queue = '', payload] = words
    const job = {
      payload: await readPayload(payload, stdin),
      contentType: '',
      priority: priorityFlag(flags),
      maxAttempts: integerFlag(flags, 'max-attempts'),
      timeoutMs: durationFlag(flags, 'timeout'),
      idempotencyKey: textFlag(flags, 'idempotency-key') ?? '',
      headers: pairsFlag(flags, 'header'),
      delayMs: durationFlag(flags, 'delay'),
      runAt: undefined,
      ...flowFlags(flags),
    }
    using server = connect({ flags, env })
    const { results } = await server.queues.enqueueJobs({ queue, jobs: [job], requestId: '', allowPartial: false })
    const { jobId, seq, created } = results[0]!
    if (flags.json) output.json({ jobId, seq, created })
    else output.line(created ? jobId : `${jobId} (enqueued before)`)
    return 0
  },
}

const pause: Command = {
  name: 'queues pause',
  summary: 'Stop handing out jobs of a queue.',
  args: [queueArg],
  options: clientOptions,
  examples: [{ line: 'millrace queues pause emails', does: 'jobs in flight go on' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    await server.queues.pauseQueue({ queue: words[0]! })
    if (flags.json) output.json({ queue: words[0], paused: true })
    else output.line(`${words[0]} paused`)
    return 0
  },
}

const resume: Command = {
  name: 'queues resume',
  summary: 'Hand out jobs of a queue again.',
  args: [queueArg],
  options: clientOptions,
  examples: [{ line: 'millrace queues resume emails', does: 'after a pause' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    await server.queues.resumeQueue({ queue: words[0]! })
    if (flags.json) output.json({ queue: words[0], paused: false })
    else output.line(`${words[0]} active`)
    return 0
  },
}

const dlqList: Command = {
  name: 'queues dlq list',
  summary: 'List failed jobs of a queue, oldest first.',
  args: [queueArg],
  options: [{ name: 'limit', placeholder: 'N', help: 'Most jobs shown.', default: '20' }, ...clientOptions],
  examples: [{ line: 'millrace queues dlq list emails', does: 'what failed, and why' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const limit = limitFlag(flags, 20)
    using server = connect({ flags, env })
    const jobs: JobInfo[] = []
    let cursor = ''
    do {
      const page = await server.queues.listDeadLetters({ queue: words[0]!, limit: Math.min(limit - jobs.length, 1000), cursor })
      jobs.push(...page.jobs)
      cursor = page.nextCursor
    } while (cursor !== '' && jobs.length < limit)
    if (flags.json) for (const job of jobs) output.json(jobJson(job))
    else {
      const rows = jobs.map((job) => [job.jobId, job.attempts, showTime(job.finishedAt), job.error?.message.split('\n')[0] ?? ''])
      output.table(['job', 'attempts', 'failed', 'error'], rows)
      if (cursor !== '') output.remark(`There are more; --limit ${limit * 2} shows more.`)
    }
    return 0
  },
}

const dlqReplay: Command = {
  name: 'queues dlq replay',
  summary: 'Run failed jobs again, with fresh attempts.',
  args: [queueArg, { name: 'JOB_ID', help: 'the job; left out with --all', optional: true }],
  options: [{ name: 'all', help: 'Every failed job of the queue.' }, ...clientOptions],
  examples: [{ line: 'millrace queues dlq replay emails --all', does: 'after the fault is mended' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [queue = '', jobId = ''] = words
    if ((jobId === '') !== (flags.all === true)) throw new UsageError('Give either JOB_ID or --all')
    using server = connect({ flags, env })
    const { replayed } = await server.queues.replayDeadLetters({ queue, jobId, all: flags.all === true })
    if (flags.json) output.json({ replayed })
    else output.line(`${replayed} replayed`)
    return 0
  },
}

const dlqPurge: Command = {
  name: 'queues dlq purge',
  summary: 'Delete failed jobs of a queue for good.',
  args: [queueArg],
  options: [{ name: 'confirm', help: 'Required: what is purged is gone.' }, ...clientOptions],
  examples: [{ line: 'millrace queues dlq purge emails --confirm', does: 'all of them' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    if (!flags.confirm) throw new UsageError('What is purged is gone for good; say --confirm')
    using server = connect({ flags, env })
    const { purged } = await server.queues.purgeDeadLetters({ queue: words[0]!, confirm: true })
    if (flags.json) output.json({ purged })
    else output.line(`${purged} purged`)
    return 0
  },
}

/** `millrace queues …` */
export const queues: readonly Command[] = [list, stats, enqueue, pause, resume, dlqList, dlqReplay, dlqPurge]

function jobJson({ payload, contentType, result, resultContentType, state, ...rest }: JobInfo) {
  return {
    ...rest,
    status: stateWord(state),
    payload: decodePayload(payload, contentType),
    result: decodePayload(result, resultContentType),
  }
}
