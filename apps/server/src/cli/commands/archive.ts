import { access } from 'node:fs/promises'
import type { Copied, Progress } from '../../archive/export.ts'
import { type Command, type Option, UsageError } from '../command.ts'
import type { Output } from '../output.ts'
import { storeOptions } from '../setting-options.ts'

const options: readonly Option[] = [...storeOptions, { name: 'json', help: 'One line of JSON at the end instead of text.' }]
const file = { name: 'FILE', help: 'the archive' }

const exportCommand: Command = {
  name: 'export',
  summary: 'Copy a store to a file.',
  description:
    'Copies all that a store keeps (jobs in every state, logs, queues, keys, tenants) to a file of JSON lines with a checksum of each section. No server may use the store meanwhile. Run again after an interruption, it goes on where it was. The file holds every payload, and can be read by its owner alone.',
  args: [file],
  options,
  examples: [
    { line: 'millrace export jobs.millrace', does: 'the store in the data directory' },
    { line: 'millrace export jobs.millrace --store postgres://…', does: 'from Postgres' },
  ],
  async run({ flags, words, env, output }) {
    const { withStore } = await import('../with-store.ts')
    const { exportStore } = await import('../../archive/export.ts')
    const { sections } = await import('../../store/sections.ts')
    return withStore({ flags, env }, async (store) => {
      await using archive = disposable(await store.openArchive(false))
      const copied = await exportStore(archive.value, words[0]!, { sections, now: new Date(), progress: bar(output) })
      show(output, copied, flags.json === true, `${store.place} is copied to ${words[0]}`)
      return 0
    })
  },
}

const importCommand: Command = {
  name: 'import',
  summary: 'Copy a file made by export to an empty store.',
  description:
    'Copies an archive to a store of any kind that is empty, then reads the store back and compares it with the checksums of the archive. No server starts on the store before that is done. Run again after an interruption, it goes on where it was.',
  args: [file],
  options,
  examples: [{ line: 'millrace import jobs.millrace --store postgres://…', does: 'to Postgres' }],
  async run({ flags, words, env, output }) {
    const { withStore } = await import('../with-store.ts')
    const { importStore } = await import('../../archive/import.ts')
    const { sections } = await import('../../store/sections.ts')
    return withStore({ flags, env }, async (store) => {
      // Before a store is made for nothing.
      await access(words[0]!).catch((error: Error) => {
        throw new UsageError(`The archive cannot be read (${error.message})`)
      })
      await using archive = disposable(await store.openArchive(true))
      const copied = await importStore(archive.value, words[0]!, { sections, progress: bar(output) })
      show(output, copied, flags.json === true, `${words[0]} is copied to ${store.place} and verified`)
      return 0
    })
  },
}

/** `millrace export`, `millrace import` */
export const archive: readonly Command[] = [exportCommand, importCommand]

function disposable<T extends { close(): Promise<void> }>(value: T): { readonly value: T } & AsyncDisposable {
  return { value, [Symbol.asyncDispose]: () => value.close() }
}

const drawEveryMs = 100
const barWidth = 24

function bar(output: Output): Progress {
  const started = performance.now()
  let drawn = 0
  let first: number | undefined
  return (section, records, total) => {
    const now = performance.now()
    if (now - drawn < drawEveryMs) return
    drawn = now
    first ??= records
    const share = Math.min(records / Math.max(total, 1), 1)
    const full = Math.round(share * barWidth)
    const rate = Math.round((records - first) / Math.max((now - started) / 1000, 0.1))
    output.progress(
      `${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${Math.floor(share * 100)} %  ${section}  ${records} of about ${total}, ${rate}/s`,
    )
  }
}

function show(output: Output, copied: Copied, json: boolean, what: string): void {
  output.progress('')
  if (json) {
    output.json(copied)
    return
  }
  const rows = Object.entries(copied.sections).map(([name, { records, sha256 }]) => [name, records, sha256.slice(0, 16)])
  output.table(['section', 'records', 'sha256'], rows)
  output.line(`\n${what}: ${copied.records} records${copied.resumed ? ', after an interruption' : ''}.`)
}
