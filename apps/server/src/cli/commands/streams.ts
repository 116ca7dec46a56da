import { type Message, StartPosition } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import { type Command, UsageError } from '../command.ts'
import { decodePayload, durationFlag, integerFlag, limitFlag, pairsFlag, readPayload, showPayload, showTime, textFlag } from '../values.ts'

const streamArg = { name: 'STREAM', help: 'the name of a stream' }
const filter = { name: 'filter', placeholder: 'CEL', help: 'Only messages that fit, such as payload.amount > 100.' }
const partition = { name: 'partition', placeholder: 'N', help: 'The partition.', default: '0' }

const write: Command = {
  name: 'streams write',
  summary: 'Write a message.',
  args: [streamArg, { name: 'PAYLOAD', help: 'JSON, or - to read it from standard input' }],
  options: [
    { name: 'message-key', placeholder: 'KEY', help: 'Messages with one key go to one partition.' },
    { name: 'partition', placeholder: 'N', help: 'The partition, instead of by the key or in turn.' },
    { name: 'header', placeholder: 'NAME=VALUE', help: 'A header for the reader.', multiple: true },
    ...clientOptions,
  ],
  examples: [{ line: `millrace streams write orders '{"id":7}' --message-key 7`, does: 'one message' }],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    const message = {
      payload: await readPayload(words[1], stdin),
      contentType: '',
      headers: pairsFlag(flags, 'header'),
      key: textFlag(flags, 'message-key') ?? '',
      partition: textFlag(flags, 'partition') === undefined ? undefined : integerFlag(flags, 'partition'),
    }
    using server = connect({ flags, env })
    const { partitions, offsets } = await server.streams.writeMessages({
      stream: words[0]!,
      messages: [message],
      requestId: '',
      producer: undefined,
    })
    if (flags.json) output.json({ partition: partitions[0], offset: offsets[0] })
    else output.line(`partition ${partitions[0]}, offset ${offsets[0]}`)
    return 0
  },
}

const read: Command = {
  name: 'streams read',
  summary: 'Show messages of a partition.',
  args: [streamArg],
  options: [
    partition,
    filter,
    { name: 'offset', placeholder: 'N', help: 'Where to begin.', default: '0' },
    { name: 'limit', placeholder: 'N', help: 'Most messages shown.', default: '20' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace streams read orders --offset 100 --json', does: 'twenty messages, a line each' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const number = integerFlag(flags, 'partition')
    const limit = limitFlag(flags, 20)
    using server = connect({ flags, env })
    let offset = integerFlag(flags, 'offset')
    for (let left = limit; left > 0; ) {
      const request = {
        stream: words[0]!,
        partition: number,
        offset,
        start: 0 as const,
        time: undefined,
        group: '',
        filter: textFlag(flags, 'filter') ?? '',
      }
      const { messages, nextOffset } = await server.streams.readMessages({ ...request, maxMessages: Math.min(left, 1000) })
      if (messages.length === 0) break
      for (const message of messages) show(output, message, number, flags.json === true)
      offset = nextOffset
      left -= messages.length
    }
    return 0
  },
}

const tail: Command = {
  name: 'streams tail',
  summary: 'Follow a partition.',
  args: [streamArg],
  options: [
    partition,
    filter,
    { name: 'from', placeholder: 'WHERE', help: 'latest, earliest, or an offset.', default: 'latest' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace streams tail orders --from earliest', does: 'all messages, then those to come, until Ctrl+C' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const number = integerFlag(flags, 'partition')
    const from = textFlag(flags, 'from') ?? 'latest'
    if (!/^(latest|earliest|\d{1,15})$/.test(from)) throw new UsageError(`--from: '${from}' is not latest, earliest or an offset`)
    const start = from === 'latest' ? StartPosition.LATEST : from === 'earliest' ? StartPosition.EARLIEST : StartPosition.UNSPECIFIED
    const offset = start === StartPosition.UNSPECIFIED ? Number(from) : 0
    using server = connect({ flags, env })
    const request = {
      stream: words[0]!,
      partition: number,
      offset,
      start,
      time: undefined,
      group: '',
      filter: textFlag(flags, 'filter') ?? '',
    }
    for await (const { messages } of server.streams.subscribeMessages(request)) {
      for (const message of messages) show(output, message, number, flags.json === true)
    }
    return 0
  },
}

const list: Command = {
  name: 'streams list',
  summary: 'List the streams of the namespace.',
  options: clientOptions,
  examples: [{ line: 'millrace streams list', does: 'names, partitions and sizes' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const rows: (string | number)[][] = []
    let cursor = ''
    do {
      const page = await server.streams.listStreams({ limit: 1000, cursor })
      for (const stream of page.streams) {
        if (flags.json) output.json(stream)
        const messages = stream.partitions.reduce((sum, { latestOffset, earliestOffset }) => sum + latestOffset + 1 - earliestOffset, 0)
        const bytes = stream.partitions.reduce((sum, each) => sum + each.bytes, 0)
        rows.push([stream.name, stream.partitions.length, messages, bytes, showTime(stream.createdAt)])
      }
      cursor = page.nextCursor
    } while (cursor !== '')
    if (!flags.json) output.table(['stream', 'partitions', 'messages', 'bytes', 'created'], rows)
    return 0
  },
}

const create: Command = {
  name: 'streams create',
  summary: 'Create a stream, or change its settings.',
  args: [streamArg],
  options: [
    { name: 'partitions', placeholder: 'N', help: 'Partitions; they can become more, never fewer.' },
    { name: 'max-age', placeholder: 'TIME', help: 'Drop messages older than this, such as 7d.' },
    { name: 'max-bytes', placeholder: 'N', help: 'Drop the oldest messages of a partition that is larger.' },
    { name: 'compaction', placeholder: 'on|off', help: 'Keep the newest message of each key, others only for a while.' },
    ...clientOptions,
  ],
  examples: [
    { line: 'millrace streams create orders --partitions 4 --max-age 7d', does: 'four partitions, a week' },
    { line: 'millrace streams create prices --compaction on', does: 'the newest message of each key' },
  ],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const limited = textFlag(flags, 'max-age') !== undefined || textFlag(flags, 'max-bytes') !== undefined
    const retention = limited ? { maxAgeMs: durationFlag(flags, 'max-age'), maxBytes: integerFlag(flags, 'max-bytes') } : undefined
    const wanted = textFlag(flags, 'compaction')
    if (wanted !== undefined && wanted !== 'on' && wanted !== 'off') throw new UsageError(`--compaction: '${wanted}' is not on or off`)
    const compaction = wanted === undefined ? undefined : wanted === 'on'
    using server = connect({ flags, env })
    const settings = { stream: words[0]!, partitions: integerFlag(flags, 'partitions'), retention, compaction }
    const { stream } = await server.streams.putStream(settings)
    if (flags.json) output.json(stream)
    else output.line(`${stream!.name}: ${stream!.partitions.length} partition${stream!.partitions.length === 1 ? '' : 's'}`)
    return 0
  },
}

/** `millrace streams …` */
export const streams: readonly Command[] = [list, create, write, read, tail]

function show(
  output: { line(text: string): void; json(value: unknown): void },
  { offset, payload, contentType, headers, key, timestampMs }: Message,
  number: number,
  asJson: boolean,
): void {
  const timestamp = new Date(timestampMs)
  if (asJson)
    output.json({ offset, partition: number, timestamp, key: key || undefined, headers, payload: decodePayload(payload, contentType) })
  else output.line(`${showTime(timestamp)}  ${offset}  ${key ? `${key}  ` : ''}${showPayload(payload, contentType)}`)
}
