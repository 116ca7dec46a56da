import { type Replay, ReplayState } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import { type Command, UsageError } from '../command.ts'
import { integerFlag, showTime, textFlag } from '../values.ts'

const names = [
  { name: 'STREAM', help: 'the name of a stream' },
  { name: 'GROUP', help: 'the group of the replay' },
]
const words = ['', 'ready', 'running', 'paused', 'stopped']

const create: Command = {
  name: 'replays create',
  summary: 'Create a replay: a range of a stream, delivered once more to a group of its own.',
  args: names,
  options: [
    { name: 'from', placeholder: 'OFFSET', help: 'The first message. Default: the oldest kept.' },
    { name: 'from-time', placeholder: 'TIME', help: 'Instead: messages written at this time or later, such as 2030-01-31T12:00:00Z.' },
    { name: 'to', placeholder: 'OFFSET', help: 'Messages before this one. Default: all there are.' },
    { name: 'to-time', placeholder: 'TIME', help: 'Instead: messages written before this time.' },
    { name: 'original-speed', help: 'Keep the time between messages.' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace replays create orders debug --from 100 --to 200', does: 'ready to be started' }],
  async run({ flags, words: [stream, group], env, output }) {
    const { connect } = await import('../connect.ts')
    const request = {
      stream: stream!,
      group: group!,
      fromOffset: integerFlag(flags, 'from'),
      fromTime: timeFlag(textFlag(flags, 'from-time'), 'from-time'),
      toOffset: integerFlag(flags, 'to'),
      toTime: timeFlag(textFlag(flags, 'to-time'), 'to-time'),
      originalSpeed: flags['original-speed'] === true,
    }
    using server = connect({ flags, env })
    const { replay } = await server.streams.createReplay(request)
    show(output, replay!, flags.json === true)
    return 0
  },
}

const list: Command = {
  name: 'replays list',
  summary: 'List the replays of a stream.',
  args: [names[0]!],
  options: clientOptions,
  examples: [{ line: 'millrace replays list orders', does: 'states and progress' }],
  async run({ flags, words: [stream], env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { replays } = await server.streams.listReplays({ stream: stream! })
    if (flags.json) for (const replay of replays) show(output, replay, true)
    else {
      const rows = replays.map(({ group, state, processed, total, createdAt }) => [
        group,
        words[state]!,
        processed,
        total,
        showTime(createdAt),
      ])
      output.table(['group', 'state', 'processed', 'messages', 'created'], rows)
    }
    return 0
  },
}

const remove: Command = {
  name: 'replays delete',
  summary: 'Delete a replay; what its group has committed stays.',
  args: names,
  options: clientOptions,
  examples: [{ line: 'millrace replays delete orders debug', does: 'its subscriptions end' }],
  async run({ flags, words: [stream, group], env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.streams.deleteReplay({ stream: stream!, group: group! })
    if (flags.json) output.json({ group, deleted })
    else output.line(deleted ? `${group} deleted` : `there is no replay ${group}`)
    return 0
  },
}

/** A command that changes where a replay stands. */
function becoming(verb: string, state: ReplayState, summary: string, does: string): Command {
  return {
    name: `replays ${verb}`,
    summary,
    args: names,
    options: clientOptions,
    examples: [{ line: `millrace replays ${verb} orders debug`, does }],
    async run({ flags, words: [stream, group], env, output }) {
      const { connect } = await import('../connect.ts')
      using server = connect({ flags, env })
      const { replay } = await server.streams.updateReplay({ stream: stream!, group: group!, state })
      show(output, replay!, flags.json === true)
      return 0
    },
  }
}

/** `millrace replays …` */
export const replays: readonly Command[] = [
  create,
  list,
  becoming('start', ReplayState.RUNNING, 'Start a replay.', 'its messages are delivered'),
  becoming('pause', ReplayState.PAUSED, 'Deliver nothing more until it is resumed.', 'it stays where it is'),
  becoming('resume', ReplayState.RUNNING, 'Go on with a paused replay.', 'it goes on where it was'),
  becoming('stop', ReplayState.STOPPED, 'End a replay for good.', 'its subscriptions end'),
  remove,
]

function show(output: { line(text: string): void; json(value: unknown): void }, replay: Replay, asJson: boolean): void {
  if (asJson) output.json({ ...replay, state: words[replay.state] })
  else output.line(`${replay.group}: ${words[replay.state]}, ${replay.processed} of ${replay.total} messages processed`)
}

function timeFlag(text: string | undefined, name: string): Date | undefined {
  if (text === undefined) return undefined
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new UsageError(`--${name}: '${text}' is not a time, such as 2030-01-31T12:00:00Z`)
  return time
}
