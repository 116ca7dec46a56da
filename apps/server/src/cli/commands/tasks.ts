import type { Task } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'
import type { Output } from '../output.ts'
import { stateCell, stateWord } from '../states.ts'
import {
  decodePayload,
  durationFlag,
  flowFlags,
  flowOptions,
  integerFlag,
  limitFlag,
  pairsFlag,
  priorityFlag,
  readJson,
  readPayload,
  showPayload,
  showTime,
  textFlag,
} from '../values.ts'
import { waitForTask } from '../wait.ts'

const taskId = { name: 'TASK_ID', help: 'the id of a task, task_…' }

const submit: Command = {
  name: 'tasks submit',
  summary: 'Submit a task.',
  args: [
    { name: 'FUNCTION', help: 'the function that handles it' },
    { name: 'PAYLOAD', help: 'JSON, or - to read it from standard input; null when left out', optional: true },
  ],
  options: [
    { name: 'queue', placeholder: 'NAME', help: 'The queue that carries it.', default: 'default' },
    { name: 'priority', placeholder: 'PRIORITY', help: 'low, normal, high, critical, or -100 to 100.', default: 'normal' },
    { name: 'timeout', placeholder: 'TIME', help: 'Longest time of one attempt, such as 5m.' },
    { name: 'delay', placeholder: 'TIME', help: 'Wait before the first attempt.' },
    { name: 'max-attempts', placeholder: 'N', help: 'Attempts in all instead of the policy of the queue.' },
    { name: 'label', placeholder: 'NAME=VALUE', help: 'A label to find it by.', multiple: true },
    { name: 'header', placeholder: 'NAME=VALUE', help: 'A header for the handler.', multiple: true },
    { name: 'idempotency-key', placeholder: 'KEY', help: 'The same key again returns the first task.' },
    ...flowOptions,
    { name: 'state-key', placeholder: 'KEY', help: 'Makes it stateful: tasks with one key run one at a time, in order.' },
    { name: 'initial-state', placeholder: 'JSON', help: 'The state to begin with when there is none; with --state-key.' },
    { name: 'tee-required', help: 'Run it in a trusted execution environment alone.' },
    { name: 'state-ttl', placeholder: 'TIME', help: 'How long the state is kept after the latest task; with --state-key.' },
    { name: 'wait', help: 'Wait for its end and show the result; exit code 1 unless it completed.' },
    ...clientOptions,
  ],
  examples: [
    { line: `millrace tasks submit resize '{"image":"cat.png"}'`, does: 'run the function resize' },
    { line: `millrace tasks submit report --priority high --timeout 5m --label team=sales --wait`, does: 'and wait for the result' },
  ],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    const [name = '', payload] = words
    const maxAttempts = integerFlag(flags, 'max-attempts')
    const initialState = textFlag(flags, 'initial-state')
    const task = {
      function: name,
      payload: await readPayload(payload, stdin),
      contentType: '',
      queue: textFlag(flags, 'queue') ?? '',
      priority: priorityFlag(flags),
      timeoutMs: durationFlag(flags, 'timeout'),
      delayMs: durationFlag(flags, 'delay'),
      runAt: undefined,
      idempotencyKey: textFlag(flags, 'idempotency-key') ?? '',
      labels: pairsFlag(flags, 'label'),
      headers: pairsFlag(flags, 'header'),
      ...flowFlags(flags),
      stateKey: textFlag(flags, 'state-key') ?? '',
      initialState: initialState === undefined ? undefined : { data: readJson('--initial-state', initialState), contentType: '' },
      stateTtlMs: durationFlag(flags, 'state-ttl'),
      teeRequired: flags['tee-required'] === true,
      retry:
        maxAttempts === 0
          ? undefined
          : ({ maxAttempts, initialBackoffMs: 1000, maxBackoffMs: 0, multiplier: 0, strategy: 0, jitter: 0.2 } as const),
    }
    using server = connect({ flags, env })
    const { taskId, created } = await server.tasks.submitTask({ task, requestId: '' })
    if (flags.wait) return await waitForTask(server, taskId, { json: flags.json === true, output })
    if (flags.json) output.json({ taskId, created })
    else output.line(created ? taskId : `${taskId} (submitted before)`)
    return 0
  },
}

const get: Command = {
  name: 'tasks get',
  summary: 'Show a task.',
  args: [taskId],
  options: clientOptions,
  examples: [{ line: 'millrace tasks get task_0000000001k --json', does: 'state, result and error of a task' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { task } = await server.tasks.getTask({ taskId: words[0]! })
    if (flags.json) output.json(taskJson(task!))
    else printTask(output, task!)
    return 0
  },
}

const watch: Command = {
  name: 'tasks watch',
  summary: 'Follow a task to its end.',
  args: [taskId],
  options: clientOptions,
  examples: [{ line: 'millrace tasks watch task_0000000001k', does: 'a line for each change; exit code 1 unless it completed' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    return await waitForTask(server, words[0]!, { json: flags.json === true, output, showAll: true })
  },
}

const list: Command = {
  name: 'tasks list',
  summary: 'List tasks, newest first.',
  options: [
    { name: 'status', placeholder: 'STATUS', help: 'Only tasks in this state, such as running or failed.', multiple: true },
    { name: 'function', placeholder: 'NAME', help: 'Only tasks of this function.' },
    { name: 'queue', placeholder: 'NAME', help: 'Only tasks of this queue.' },
    { name: 'label', placeholder: 'NAME=VALUE', help: 'Only tasks with this label.', multiple: true },
    { name: 'batch', placeholder: 'BATCH_ID', help: 'Only tasks of this batch.' },
    { name: 'limit', placeholder: 'N', help: 'Most tasks shown.', default: '20' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace tasks list --status failed --label team=sales', does: 'failed tasks of a team' }],
  async run({ flags, env, output }) {
    const [{ connect }, { readState }] = await Promise.all([import('../connect.ts'), import('../states.ts')])
    const limit = limitFlag(flags, 20)
    const filter = {
      labels: pairsFlag(flags, 'label'),
      states: ((flags.status as string[] | undefined) ?? []).map(readState),
      function: textFlag(flags, 'function') ?? '',
      queue: textFlag(flags, 'queue') ?? '',
      batchId: textFlag(flags, 'batch') ?? '',
    }
    using server = connect({ flags, env })
    const tasks: Task[] = []
    let cursor = ''
    do {
      const page = await server.tasks.listTasks({ ...filter, limit: Math.min(limit - tasks.length, 1000), cursor })
      tasks.push(...page.tasks)
      cursor = page.nextCursor
    } while (cursor !== '' && tasks.length < limit)
    if (flags.json) for (const task of tasks) output.json(taskJson(task))
    else {
      const rows = tasks.map((task) => [
        task.taskId,
        stateCell(task.state),
        task.function,
        task.attempts,
        showTime(task.createdAt),
        task.error?.message.split('\n')[0] ?? task.message,
      ])
      output.table(['task', 'status', 'function', 'attempts', 'created', 'message'], rows)
      if (cursor !== '') output.remark(`There are more; --limit ${limit * 2} shows more.`)
    }
    return 0
  },
}

const logs: Command = {
  name: 'tasks logs',
  summary: "Show a task's log.",
  args: [taskId],
  options: [{ name: 'follow', help: 'Go on until the task has ended.' }, ...clientOptions],
  examples: [{ line: 'millrace tasks logs task_0000000001k --follow', does: 'the log as it grows' }],
  async run({ flags, words, env, output }) {
    const [{ connect }, { printLogs }] = await Promise.all([import('../connect.ts'), import('../logs.ts')])
    using server = connect({ flags, env })
    await printLogs(server, words[0]!, { follow: flags.follow === true, json: flags.json === true, output })
    return 0
  },
}

const cancel: Command = {
  name: 'tasks cancel',
  summary: 'Cancel a task that has not ended.',
  args: [taskId],
  options: [{ name: 'reason', placeholder: 'TEXT', help: 'Why, for people.' }, ...clientOptions],
  examples: [{ line: 'millrace tasks cancel task_0000000001k --reason "no longer needed"', does: 'its worker is told to stop' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { task } = await server.tasks.cancelTask({ taskId: words[0]!, reason: textFlag(flags, 'reason') ?? '' })
    if (flags.json) output.json(taskJson(task!))
    else output.line(`${task!.taskId} ${stateWord(task!.state)}`)
    return 0
  },
}

const retry: Command = {
  name: 'tasks retry',
  summary: 'Run a failed or cancelled task again.',
  args: [taskId],
  options: clientOptions,
  examples: [{ line: 'millrace tasks retry task_0000000001k', does: 'with fresh attempts' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { task } = await server.tasks.retryTask({ taskId: words[0]! })
    if (flags.json) output.json(taskJson(task!))
    else output.line(`${task!.taskId} ${stateWord(task!.state)}`)
    return 0
  },
}

/** `millrace tasks …` */
export const tasks: readonly Command[] = [submit, get, watch, list, logs, cancel, retry]

function taskJson({ payload, contentType, result, resultContentType, state, ...rest }: Task) {
  return {
    ...rest,
    status: stateWord(state),
    payload: decodePayload(payload, contentType),
    result: decodePayload(result, resultContentType),
  }
}

function printTask(output: Output, task: Task): void {
  output.fields({
    task: task.taskId,
    status: stateCell(task.state),
    function: task.function,
    queue: task.queue,
    priority: task.priority,
    attempts: `${task.attempts} of ${task.maxAttempts}`,
    progress: task.progress > 0 ? `${task.progress} %` : undefined,
    message: task.message,
    labels: Object.entries(task.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    batch: task.batchId,
    state: task.stateKey,
    created: showTime(task.createdAt),
    'runs at': showTime(task.runAt),
    started: showTime(task.startedAt),
    finished: showTime(task.finishedAt),
    worker: task.workerId,
    payload: showPayload(task.payload, task.contentType),
    result: showPayload(task.result, task.resultContentType),
    error: task.error ? { text: `${task.error.code ? `${task.error.code}: ` : ''}${task.error.message}`, style: 'red' } : undefined,
  })
}
