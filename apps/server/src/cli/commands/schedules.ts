import { type OverlapPolicy, RunOutcome, type Schedule } from '@millrace/protocol'
import { formatDuration } from '../../config/values.ts'
import { clientOptions } from '../client-options.ts'
import { type Command, UsageError } from '../command.ts'
import type { Output } from '../output.ts'
import {
  decodePayload,
  durationFlag,
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

const name = { name: 'NAME', help: 'the name of a schedule' }
const overlaps = ['skip', 'queue', 'allow']

const create: Command = {
  name: 'schedules create',
  summary: 'Submit tasks or jobs at set times.',
  args: [name, { name: 'PAYLOAD', help: 'JSON, or - for standard input; null when it is left out', optional: true }],
  options: [
    { name: 'cron', placeholder: 'PATTERN', help: 'Five fields (minute hour day month weekday) or six (second first).' },
    { name: 'timezone', placeholder: 'ZONE', help: 'IANA time zone of the pattern.', default: 'UTC' },
    { name: 'every', placeholder: 'TIME', help: 'Time between two ticks, such as 15m.' },
    { name: 'at', placeholder: 'TIME', help: 'The only tick, such as 2030-01-31T08:00:00Z.' },
    { name: 'function', placeholder: 'NAME', help: 'The function of the tasks; without it plain jobs of --queue.' },
    { name: 'queue', placeholder: 'NAME', help: 'The queue. Needed without --function; that of tasks is default unless given.' },
    { name: 'overlap', placeholder: 'POLICY', help: 'While the one before runs: skip, queue or allow.', default: 'skip' },
    { name: 'catch-up', placeholder: 'N', help: 'Ticks made up for after a downtime at most.', default: '1' },
    { name: 'jitter', placeholder: 'TIME', help: 'Submit each tick up to so much later.' },
    { name: 'priority', placeholder: 'PRIORITY', help: 'low, normal, high, critical, or -100 to 100.', default: 'normal' },
    { name: 'max-attempts', placeholder: 'N', help: 'Attempts in all.' },
    { name: 'timeout', placeholder: 'TIME', help: 'Longest time of one attempt.' },
    { name: 'state-key', placeholder: 'KEY', help: 'Makes its tasks stateful: tasks with one key run one at a time, in order.' },
    { name: 'initial-state', placeholder: 'JSON', help: 'The state to begin with when there is none; with --state-key.' },
    { name: 'state-ttl', placeholder: 'TIME', help: 'How long the state is kept after the latest task; with --state-key.' },
    { name: 'tee-required', help: 'Run its tasks in a trusted execution environment alone.' },
    { name: 'label', placeholder: 'NAME=VALUE', help: 'A label of the tasks.', multiple: true },
    { name: 'header', placeholder: 'NAME=VALUE', help: 'A header for the handler.', multiple: true },
    { name: 'paused', help: 'Make it paused.' },
    ...clientOptions,
  ],
  examples: [
    { line: "millrace schedules create nightly --cron '0 3 * * *' --timezone Europe/Berlin --function report", does: 'a task each night' },
    { line: `millrace schedules create poll '{"n":1}' --every 15m --queue polls`, does: 'a job every quarter of an hour' },
  ],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    const initialState = textFlag(flags, 'initial-state')
    const schedule = {
      name: words[0]!,
      cron: textFlag(flags, 'cron') ?? '',
      everyMs: durationFlag(flags, 'every'),
      at: timeFlag(textFlag(flags, 'at')),
      timezone: textFlag(flags, 'timezone') ?? '',
      jitterMs: durationFlag(flags, 'jitter'),
      overlap: overlapFlag(textFlag(flags, 'overlap')),
      catchUp: textFlag(flags, 'catch-up') === undefined ? undefined : integerFlag(flags, 'catch-up'),
      function: textFlag(flags, 'function') ?? '',
      queue: textFlag(flags, 'queue') ?? '',
      payload: await readPayload(words[1], stdin),
      contentType: '',
      headers: pairsFlag(flags, 'header'),
      labels: pairsFlag(flags, 'label'),
      priority: priorityFlag(flags),
      maxAttempts: integerFlag(flags, 'max-attempts'),
      timeoutMs: durationFlag(flags, 'timeout'),
      paused: flags.paused === true,
      retry: undefined,
      stateKey: textFlag(flags, 'state-key') ?? '',
      initialState: initialState === undefined ? undefined : { data: readJson('--initial-state', initialState), contentType: '' },
      stateTtlMs: durationFlag(flags, 'state-ttl'),
      teeRequired: flags['tee-required'] === true,
    }
    using server = connect({ flags, env })
    print(output, flags.json === true, (await server.schedules.createSchedule({ schedule })).schedule!)
    return 0
  },
}

const get: Command = {
  name: 'schedules get',
  summary: 'Show a schedule.',
  args: [name],
  options: clientOptions,
  examples: [{ line: 'millrace schedules get nightly', does: 'when it is due next, and what it submits' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    print(output, flags.json === true, (await server.schedules.getSchedule({ name: words[0]! })).schedule!)
    return 0
  },
}

const list: Command = {
  name: 'schedules list',
  summary: 'List schedules by name.',
  options: [{ name: 'limit', placeholder: 'N', help: 'Most schedules shown.', default: '100' }, ...clientOptions],
  examples: [{ line: 'millrace schedules list', does: 'all that is submitted at set times' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    const limit = limitFlag(flags, 100)
    using server = connect({ flags, env })
    const { schedules, nextCursor } = await server.schedules.listSchedules({ limit, cursor: '' })
    if (flags.json) for (const schedule of schedules) output.json(scheduleJson(schedule))
    else {
      const rows = schedules.map((schedule) => {
        const { name, function: fn, queue, paused } = schedule.settings!
        return [name, timesOf(schedule), fn || queue, paused ? 'paused' : showTime(schedule.nextAt), showTime(schedule.lastAt)]
      })
      output.table(['schedule', 'times', 'submits', 'next', 'last'], rows)
      if (nextCursor !== '') output.remark(`There are more; --limit ${limit * 2} shows more.`)
    }
    return 0
  },
}

const update: Command = {
  name: 'schedules update',
  summary: 'Change a schedule; what is left out stays.',
  args: [name, { name: 'PAYLOAD', help: 'JSON, or - for standard input', optional: true }],
  options: [
    { name: 'cron', placeholder: 'PATTERN', help: 'Takes the place of the times before.' },
    { name: 'every', placeholder: 'TIME', help: 'Takes the place of the times before; counts from now.' },
    { name: 'at', placeholder: 'TIME', help: 'Takes the place of the times before.' },
    { name: 'timezone', placeholder: 'ZONE', help: 'IANA time zone of the pattern.' },
    { name: 'overlap', placeholder: 'POLICY', help: 'While the one before runs: skip, queue or allow.' },
    { name: 'catch-up', placeholder: 'N', help: 'Ticks made up for after a downtime at most.' },
    { name: 'jitter', placeholder: 'TIME', help: 'Submit each tick up to so much later.' },
    ...clientOptions,
  ],
  examples: [{ line: "millrace schedules update nightly --cron '0 4 * * *'", does: 'an hour later from now on' }],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    const given = <T>(flag: string, value: T): T | undefined => (textFlag(flags, flag) === undefined ? undefined : value)
    const change = {
      name: words[0]!,
      cron: textFlag(flags, 'cron'),
      everyMs: given('every', durationFlag(flags, 'every')),
      at: timeFlag(textFlag(flags, 'at')),
      timezone: textFlag(flags, 'timezone'),
      jitterMs: given('jitter', durationFlag(flags, 'jitter')),
      overlap: given('overlap', overlapFlag(textFlag(flags, 'overlap'))),
      catchUp: given('catch-up', integerFlag(flags, 'catch-up')),
      payload: words[1] === undefined ? undefined : await readPayload(words[1], stdin),
      contentType: '',
    }
    using server = connect({ flags, env })
    print(output, flags.json === true, (await server.schedules.updateSchedule(change)).schedule!)
    return 0
  },
}

const pause = switchCommand('pause', 'Let the ticks of a schedule pass by.', 'submits nothing until it is resumed')
const resume = switchCommand('resume', 'Go on with the next tick of a schedule.', 'shows when that is')

function switchCommand(verb: 'pause' | 'resume', summary: string, does: string): Command {
  return {
    name: `schedules ${verb}`,
    summary,
    args: [name],
    options: clientOptions,
    examples: [{ line: `millrace schedules ${verb} nightly`, does }],
    async run({ flags, words, env, output }) {
      const { connect } = await import('../connect.ts')
      using server = connect({ flags, env })
      const request = { name: words[0]! }
      const { schedule } = verb === 'pause' ? await server.schedules.pauseSchedule(request) : await server.schedules.resumeSchedule(request)
      print(output, flags.json === true, schedule!)
      return 0
    },
  }
}

const trigger: Command = {
  name: 'schedules trigger',
  summary: 'Submit what a schedule submits once, now.',
  args: [name],
  options: clientOptions,
  examples: [{ line: 'millrace schedules trigger nightly', does: 'prints the id of the task or job' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { jobId } = await server.schedules.triggerSchedule({ name: words[0]!, requestId: '' })
    if (flags.json) output.json({ name: words[0]!, jobId })
    else output.line(jobId)
    return 0
  },
}

const remove: Command = {
  name: 'schedules delete',
  summary: 'Delete a schedule; what it submitted goes on.',
  args: [name],
  options: clientOptions,
  examples: [{ line: 'millrace schedules delete nightly', does: 'its history goes too' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.schedules.deleteSchedule({ name: words[0]! })
    if (flags.json) output.json({ name: words[0]!, deleted })
    else output.line(deleted ? `${words[0]!} deleted` : `there is no schedule ${words[0]!}`)
    return 0
  },
}

const history: Command = {
  name: 'schedules history',
  summary: 'Show what became of the latest ticks of a schedule.',
  args: [name],
  options: [{ name: 'limit', placeholder: 'N', help: 'Most runs shown; 100 are kept.', default: '20' }, ...clientOptions],
  examples: [{ line: 'millrace schedules history nightly', does: 'the latest first' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { runs } = await server.schedules.listScheduleRuns({ name: words[0]!, limit: limitFlag(flags, 20) })
    const outcomeOf = (outcome: RunOutcome) => (outcome === RunOutcome.SUBMITTED ? 'submitted' : 'skipped')
    if (flags.json) for (const run of runs) output.json({ ...run, outcome: outcomeOf(run.outcome) })
    else {
      const rows = runs.map(({ at, manual, outcome, jobId, reason }) => [
        showTime(at),
        manual ? 'triggered' : 'tick',
        outcomeOf(outcome),
        jobId || reason,
      ])
      output.table(['at', 'by', 'outcome', 'job'], rows)
    }
    return 0
  },
}

/** `millrace schedules …` */
export const schedules: readonly Command[] = [create, get, list, update, pause, resume, trigger, remove, history]

function timeFlag(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new UsageError(`--at: '${text}' is not a time; give one such as 2030-01-31T08:00:00Z`)
  return time
}

function overlapFlag(text = 'skip'): OverlapPolicy {
  const index = overlaps.indexOf(text)
  if (index < 0) throw new UsageError(`--overlap: '${text}' is none of ${overlaps.join(', ')}`)
  return (index + 1) as OverlapPolicy
}

function timesOf({ settings }: Schedule): string {
  const { cron, timezone, everyMs, at } = settings!
  if (cron) return `${cron} ${timezone}`
  return everyMs ? `every ${formatDuration(everyMs)}` : `at ${showTime(at)}`
}

function scheduleJson({ settings, ...rest }: Schedule): object {
  const { payload, contentType, overlap, initialState, ...more } = settings!
  return {
    ...more,
    overlap: overlaps[overlap - 1],
    payload: decodePayload(payload, contentType),
    ...(initialState && { initialState: decodePayload(initialState.data, initialState.contentType) }),
    ...rest,
  }
}

function print(output: Output, json: boolean, schedule: Schedule): void {
  if (json) {
    output.json(scheduleJson(schedule))
    return
  }
  const { name, function: fn, queue, overlap, catchUp, jitterMs, payload, contentType, paused, stateKey, teeRequired } = schedule.settings!
  output.fields({
    schedule: name,
    times: timesOf(schedule),
    function: fn,
    queue,
    payload: showPayload(payload, contentType),
    state: stateKey,
    'tee required': teeRequired ? 'yes' : '',
    overlap: overlaps[overlap - 1],
    'catch-up': catchUp,
    jitter: jitterMs ? formatDuration(jitterMs) : '',
    paused: paused ? 'yes' : '',
    next: showTime(schedule.nextAt),
    last: showTime(schedule.lastAt),
  })
}
