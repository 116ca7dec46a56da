import type { SchemaCompatibility } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import { type Command, UsageError } from '../command.ts'
import { integerFlag, readPayload, showTime, textFlag } from '../values.ts'

const name = { name: 'NAME', help: 'the name of a schema' }
const version = { name: 'version', placeholder: 'N', help: 'The version. Default: the latest.' }
const targets = [
  { name: 'stream', placeholder: 'NAME', help: 'A stream.' },
  { name: 'queue', placeholder: 'NAME', help: 'A queue: its plain jobs.' },
]
const rules = ['', 'none', 'backward', 'forward', 'full']

type Flags = Parameters<Command['run']>[0]['flags']

const targetOf = (flags: Flags) => ({ stream: textFlag(flags, 'stream') ?? '', queue: textFlag(flags, 'queue') ?? '' })
const showTarget = ({ stream, queue }: { stream: string; queue: string }) => (stream !== '' ? `stream ${stream}` : `queue ${queue}`)

const register: Command = {
  name: 'schemas register',
  summary: 'Add a version of a schema.',
  args: [name, { name: 'SCHEMA', help: 'JSON Schema, or - to read it from standard input' }],
  options: [
    { name: 'compatibility', placeholder: 'RULE', help: 'none, backward, forward or full. Default: as it was; backward for a new one.' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace schemas register order - < order.schema.json', does: 'the next version, when it is compatible' }],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    const rule = rules.indexOf(textFlag(flags, 'compatibility') ?? '')
    if (rule < 0) throw new UsageError(`--compatibility: '${textFlag(flags, 'compatibility')}' is none of ${rules.slice(1).join(', ')}`)
    const definition = await readPayload(words[1], stdin, 'SCHEMA')
    using server = connect({ flags, env })
    const request = { name: words[0]!, definition, contentType: '', compatibility: rule as SchemaCompatibility }
    const registered = await server.schemas.registerSchema(request)
    if (flags.json) output.json({ name: words[0]!, ...registered })
    else output.line(`${words[0]!} version ${registered.version}${registered.created ? '' : ' (it was the latest already)'}`)
    return 0
  },
}

const get: Command = {
  name: 'schemas get',
  summary: 'Show a version of a schema.',
  args: [name],
  options: [version, ...clientOptions],
  examples: [{ line: 'millrace schemas get order --version 2', does: 'its JSON Schema' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { schema } = await server.schemas.getSchema({ name: words[0]!, version: integerFlag(flags, 'version') })
    const definition: unknown = JSON.parse(Buffer.from(schema!.definition).toString())
    if (flags.json) output.json({ ...schema, compatibility: rules[schema!.compatibility], definition })
    else output.line(JSON.stringify(definition, null, 2))
    return 0
  },
}

const list: Command = {
  name: 'schemas list',
  summary: 'List schemas, and what they are attached to.',
  options: clientOptions,
  examples: [{ line: 'millrace schemas list', does: 'names, versions, streams and queues' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { attachments } = await server.schemas.listSchemaAttachments({})
    const rows: (string | number)[][] = []
    let cursor = ''
    do {
      const page = await server.schemas.listSchemas({ limit: 1000, cursor })
      for (const schema of page.schemas) {
        const attached = attachments
          .filter((each) => each.schema === schema.name)
          .map((each) => `${showTarget(each)}${each.version ? ` (version ${each.version})` : ''}`)
        const compatibility = rules[schema.compatibility] ?? ''
        if (flags.json) {
          const { name, version, createdAt } = schema
          output.json({ name, version, compatibility, createdAt, attached })
        }
        rows.push([schema.name, schema.version, compatibility, attached.join(', '), showTime(schema.createdAt)])
      }
      cursor = page.nextCursor
    } while (cursor !== '')
    if (!flags.json) output.table(['schema', 'version', 'compatibility', 'attached to', 'registered'], rows)
    return 0
  },
}

const attach: Command = {
  name: 'schemas attach',
  summary: 'Have what is written to a stream or queue fit a schema.',
  args: [name],
  options: [...targets, { ...version, help: 'The version. Default: the latest at any time.' }, ...clientOptions],
  examples: [{ line: 'millrace schemas attach order --stream orders', does: 'messages that do not fit are refused from now on' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const target = targetOf(flags)
    using server = connect({ flags, env })
    await server.schemas.attachSchema({ name: words[0]!, version: integerFlag(flags, 'version'), ...target })
    if (flags.json) output.json({ schema: words[0]!, version: integerFlag(flags, 'version'), ...target })
    else output.line(`${showTarget(target)} has the schema ${words[0]!}`)
    return 0
  },
}

const detach: Command = {
  name: 'schemas detach',
  summary: 'Have a stream or queue take any message or job again.',
  options: [...targets, ...clientOptions],
  examples: [{ line: 'millrace schemas detach --stream orders', does: 'what is written is no longer checked' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    const target = targetOf(flags)
    using server = connect({ flags, env })
    const { detached } = await server.schemas.detachSchema(target)
    if (flags.json) output.json({ ...target, detached })
    else output.line(detached ? `${showTarget(target)} has no schema any more` : `${showTarget(target)} had no schema`)
    return 0
  },
}

const remove: Command = {
  name: 'schemas delete',
  summary: 'Delete a schema with its versions.',
  args: [name],
  options: clientOptions,
  examples: [{ line: 'millrace schemas delete order', does: 'nothing has it any more' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.schemas.deleteSchema({ name: words[0]! })
    if (flags.json) output.json({ name: words[0]!, deleted })
    else output.line(deleted ? `${words[0]!} deleted` : `there is no schema ${words[0]!}`)
    return 0
  },
}

/** `millrace schemas …` */
export const schemas: readonly Command[] = [register, get, list, attach, detach, remove]
