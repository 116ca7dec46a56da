import { clientOptions } from '../client-options.ts'
import { CallError, type Command } from '../command.ts'
import { decodePayload, limitFlag, showPayload, showTime, textFlag } from '../values.ts'

const key = { name: 'KEY', help: 'the state key of the tasks' }

const get: Command = {
  name: 'states get',
  summary: 'Show the state of stateful tasks.',
  args: [key],
  options: clientOptions,
  examples: [{ line: 'millrace states get session-12345 --json', does: 'what the latest task left' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { state } = await server.states.getState({ key: words[0]! })
    const { data, contentType, ...rest } = state!
    if (flags.json) output.json({ ...rest, value: decodePayload(data, contentType) })
    else {
      output.fields({
        state: rest.key,
        value: showPayload(data, contentType),
        revision: rest.revision,
        size: rest.size,
        updated: showTime(rest.updatedAt),
        expires: showTime(rest.expiresAt),
      })
    }
    return 0
  },
}

const list: Command = {
  name: 'states list',
  summary: 'List the states of stateful tasks by key.',
  options: [
    { name: 'prefix', placeholder: 'TEXT', help: 'Only keys that begin with this.' },
    { name: 'limit', placeholder: 'N', help: 'Most states shown.', default: '100' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace states list --prefix session-', does: 'the states of sessions' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    const limit = limitFlag(flags, 100)
    using server = connect({ flags, env })
    const prefix = textFlag(flags, 'prefix') ?? ''
    const { states, nextCursor } = await server.states.listStates({ prefix, limit, cursor: '' })
    if (flags.json) for (const { data: _, contentType: __, ...state } of states) output.json(state)
    else {
      const rows = states.map((state) => [state.key, state.revision, state.size, showTime(state.updatedAt), showTime(state.expiresAt)])
      output.table(['state', 'revision', 'bytes', 'updated', 'expires'], rows)
      if (nextCursor !== '') output.remark(`There are more; --limit ${limit * 2} shows more.`)
    }
    return 0
  },
}

const remove: Command = {
  name: 'states delete',
  summary: 'Forget the state of stateful tasks.',
  description: 'Forgets the state of stateful tasks. Exit code 1 when there was none.',
  args: [key],
  options: clientOptions,
  examples: [{ line: 'millrace states delete session-12345', does: 'the next task begins anew' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.states.deleteState({ key: words[0]! })
    if (flags.json) output.json({ key: words[0]!, deleted })
    else if (deleted) output.line(`${words[0]!} deleted`)
    else throw new CallError(`There is no state of '${words[0]!}'.`)
    return deleted ? 0 : 1
  },
}

/** `millrace states …` */
export const states: readonly Command[] = [get, list, remove]
