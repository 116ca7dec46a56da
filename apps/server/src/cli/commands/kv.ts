import type { Entry, EntryChange } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'
import { CallError, UsageError } from '../command.ts'
import { decodePayload, durationFlag, integerFlag, limitFlag, readPayload, showPayload, showTime, textFlag } from '../values.ts'

const storeArg = { name: 'STORE', help: 'the name of a store' }
const keyArg = { name: 'KEY', help: 'a key' }

const get: Command = {
  name: 'kv get',
  summary: 'Show the value of a key.',
  description: 'Shows the value of a key. Exit code 1 when it is not there.',
  args: [storeArg, keyArg],
  options: clientOptions,
  examples: [{ line: 'millrace kv get settings theme', does: 'its value; with --json also its revision' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { entry } = await server.kv.getEntry({ store: words[0]!, key: words[1]! })
    if (flags.json) output.json(entryJson(entry!))
    else output.line(showPayload(entry!.value, entry!.contentType))
    return 0
  },
}

const set: Command = {
  name: 'kv set',
  summary: 'Set a key.',
  args: [storeArg, keyArg, { name: 'VALUE', help: 'JSON, or - to read it from standard input' }],
  options: [
    { name: 'ttl', placeholder: 'TIME', help: 'Time to live, such as 1h. Without it the key stays for ever.' },
    { name: 'if-revision', placeholder: 'N', help: 'Only when the key is at this revision; 0: only when it is not there.' },
    { name: 'if-absent', help: 'Only when the key is not there.' },
    ...clientOptions,
  ],
  examples: [
    { line: `millrace kv set settings theme '"dark"'`, does: 'a text' },
    { line: `millrace kv set sessions 4711 '{"user":7}' --ttl 1h`, does: 'gone after an hour' },
  ],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    const [store = '', key = '', value] = words
    const ifRevision = textFlag(flags, 'if-revision') === undefined ? undefined : integerFlag(flags, 'if-revision')
    if (flags['if-absent'] && ifRevision !== undefined) throw new UsageError('Give either --if-revision or --if-absent')
    const ttlMs = durationFlag(flags, 'ttl')
    if (ttlMs === 0 && textFlag(flags, 'ttl') !== undefined) throw new UsageError('--ttl: leave it out for a key that stays for ever')
    const request = {
      store,
      key,
      value: await readPayload(value, stdin, 'VALUE'),
      contentType: '',
      ttlMs,
      ifRevision,
      ifAbsent: flags['if-absent'] === true,
      requestId: '',
    }
    using server = connect({ flags, env })
    const { revision } = await server.kv.setEntry(request)
    if (flags.json) output.json({ revision })
    else output.line(`revision ${revision}`)
    return 0
  },
}

const remove: Command = {
  name: 'kv delete',
  summary: 'Delete a key.',
  description: 'Deletes a key. Exit code 1 when it was not there.',
  args: [storeArg, keyArg],
  options: clientOptions,
  examples: [{ line: 'millrace kv delete settings theme', does: 'gone' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.kv.deleteEntry({ store: words[0]!, key: words[1]!, ifRevision: undefined, requestId: '' })
    if (flags.json) output.json({ deleted })
    else if (deleted) output.line('deleted')
    else throw new CallError(`There is no key '${words[1]}' in '${words[0]}'.`)
    return deleted ? 0 : 1
  },
}

const clear: Command = {
  name: 'kv clear',
  summary: 'Delete all keys of a store, or those that begin with a prefix.',
  args: [storeArg, { name: 'PREFIX', help: 'only keys that begin with this', optional: true }],
  options: [{ name: 'confirm', help: 'Required: the values are gone for good.' }, ...clientOptions],
  examples: [{ line: 'millrace kv clear settings draft: --confirm', does: 'keys that begin with draft: are gone' }],
  async run({ flags, words, env, output }) {
    if (!flags.confirm) throw new UsageError('The values are gone for good; say --confirm')
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.kv.clearEntries({ store: words[0]!, prefix: words[1] ?? '', confirm: true })
    if (flags.json) output.json({ deleted })
    else output.line(`${deleted} deleted`)
    return 0
  },
}

const keys: Command = {
  name: 'kv keys',
  summary: 'List keys, in order.',
  args: [storeArg, { name: 'PREFIX', help: 'only keys that begin with this', optional: true }],
  options: [{ name: 'limit', placeholder: 'N', help: 'Most keys shown.', default: 'all' }, ...clientOptions],
  examples: [{ line: 'millrace kv keys settings user:', does: 'keys that begin with user:' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const limit = limitFlag(flags, Infinity)
    using server = connect({ flags, env })
    let cursor = ''
    let shown = 0
    do {
      const request = { store: words[0]!, prefix: words[1] ?? '', limit: Math.min(limit - shown, 1000), cursor, withValues: false }
      const page = await server.kv.listEntries(request)
      for (const { key, revision, expiresAt } of page.entries) {
        if (flags.json) output.json({ key, revision, expiresAt })
        else output.line(key)
      }
      shown += page.entries.length
      cursor = page.nextCursor
    } while (cursor !== '' && shown < limit)
    return 0
  },
}

const watch: Command = {
  name: 'kv watch',
  summary: 'Follow changes of keys.',
  args: [storeArg, { name: 'PREFIX', help: 'only keys that begin with this', optional: true }],
  options: [
    { name: 'after', placeholder: 'REVISION', help: 'Begin after this revision; 0 shows all present keys first.' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace kv watch settings --after 0', does: 'all keys, then what changes, until Ctrl+C' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const afterRevision = textFlag(flags, 'after') === undefined ? undefined : integerFlag(flags, 'after')
    using server = connect({ flags, env })
    for await (const { changes } of server.kv.watchEntries({ store: words[0]!, prefix: words[1] ?? '', afterRevision })) {
      for (const change of changes) {
        if (flags.json) output.json(changeJson(change))
        else output.line(showChange(change))
      }
    }
    return 0
  },
}

/** `millrace kv …` */
export const kv: readonly Command[] = [get, set, remove, clear, keys, watch]

const changeWords: Readonly<Record<number, string>> = { 1: 'set', 2: 'deleted', 3: 'expired' }

function entryJson({ value, contentType, ...rest }: Entry) {
  return { ...rest, value: decodePayload(value, contentType) }
}

function changeJson({ type, entry }: EntryChange) {
  const { value, ...rest } = entryJson(entry!)
  return { type: changeWords[type], ...rest, ...(type === 1 && { value }) }
}

function showChange({ type, entry }: EntryChange): string {
  const { key, value, contentType, revision, updatedAt } = entry!
  const what = type === 1 ? showPayload(value, contentType) : (changeWords[type] ?? '')
  return `${showTime(updatedAt)}  ${revision}  ${key}  ${what}`
}
