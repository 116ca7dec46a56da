import { RowChangeType, type RowSet } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import { type Command, type Invocation, UsageError } from '../command.ts'
import { integerFlag, limitFlag, textFlag } from '../values.ts'

const name = { name: 'TABLE', help: 'the name of a table or view' }
const empty = new Uint8Array(0)
const asUser = {
  name: 'as-user',
  placeholder: 'USER',
  help: 'The user to act as: row-level security holds. Default: the owner of the tables.',
}

/** Shows rows: each on a line of its own as JSON, or as a table. */
function rowsOf(result: RowSet | undefined): Record<string, unknown>[] {
  return result && result.rows.length > 0 ? JSON.parse(Buffer.from(result.rows).toString()) : []
}

function showRows({ flags, output }: Pick<Invocation, 'flags' | 'output'>, result: RowSet | undefined): void {
  const rows = rowsOf(result)
  if (flags.json) for (const row of rows) output.json(row)
  else if (result && result.columns.length > 0) {
    const names = result.columns.map((column) => column.name)
    const cell = (value: unknown) => (typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value ?? ''))
    output.table(
      names,
      rows.map((row) => names.map((column) => cell(row[column]))),
    )
  }
}

/** The rows that a command is about. */
const selectionOf = ({ flags, words }: Pick<Invocation, 'flags' | 'words'>) => ({
  table: words[0]!,
  columns: textFlag(flags, 'columns') ?? '',
  filter: { text: textFlag(flags, 'where') ?? '', where: empty, contentType: '' },
  asUser: textFlag(flags, 'as-user') ?? '',
})

const list: Command = {
  name: 'tables list',
  summary: 'List tables and views.',
  options: clientOptions,
  examples: [{ line: 'millrace tables list', does: 'the tables of the namespace' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { tables } = await server.tables.describeTables({ table: '' })
    if (flags.json) for (const table of tables) output.json(table)
    else {
      const rows = tables.map((each) => [
        each.name,
        each.kind,
        each.columns.length,
        each.primaryKey.join(','),
        each.rowSecurity ? 'on' : 'off',
      ])
      output.table(['table', 'kind', 'columns', 'key', 'row security'], rows)
    }
    return 0
  },
}

const describe: Command = {
  name: 'tables describe',
  summary: 'Show the columns of a table.',
  args: [name],
  options: clientOptions,
  examples: [{ line: 'millrace tables describe users', does: 'columns, types and defaults' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { tables } = await server.tables.describeTables({ table: words[0]! })
    if (flags.json) output.json(tables[0])
    else {
      const rows = tables[0]!.columns.map((each) => [
        each.name,
        each.type,
        each.nullable ? 'null' : 'not null',
        each.defaultValue,
        each.comment,
      ])
      output.table(['column', 'type', '', 'default', 'comment'], rows)
    }
    return 0
  },
}

const select: Command = {
  name: 'tables select',
  summary: 'Read rows.',
  args: [name],
  options: [
    { name: 'columns', placeholder: 'NAME,…', help: 'Columns shown. Default: all.' },
    { name: 'where', placeholder: 'FILTER', help: "Only rows that match: 'age>25&name=like.A*'." },
    { name: 'order', placeholder: 'ORDER', help: 'In this order: created_at.desc,name.' },
    { name: 'limit', placeholder: 'N', help: 'Most rows shown.', default: '100' },
    { name: 'offset', placeholder: 'N', help: 'Rows left out first.' },
    { name: 'watch', help: 'Shows them again after each change, until Ctrl+C.' },
    asUser,
    ...clientOptions,
  ],
  examples: [
    { line: "millrace tables select users --where 'age>25' --order created_at.desc", does: 'the youngest rows first' },
    { line: 'millrace tables select users --watch --json', does: 'the rows, then again after each change: one list on each line' },
  ],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const request = {
      ...selectionOf({ flags, words }),
      order: textFlag(flags, 'order') ?? '',
      limit: limitFlag(flags, 100),
      offset: integerFlag(flags, 'offset'),
    }
    if (flags.watch === true) {
      for await (const { result } of server.tables.watchRows(request)) {
        if (flags.json) output.json(rowsOf(result))
        else {
          showRows({ flags, output }, result)
          output.line('')
        }
      }
    } else showRows({ flags, output }, (await server.tables.selectRows(request)).result)
    return 0
  },
}

const changes: Command = {
  name: 'tables changes',
  summary: 'Follow the changes of a table as they are committed, until Ctrl+C.',
  args: [name],
  options: [
    { name: 'columns', placeholder: 'NAME,…', help: 'Columns shown. Default: all.' },
    { name: 'where', placeholder: 'FILTER', help: 'Only rows that match: what enters is an insert, what leaves a delete.' },
    { name: 'after', placeholder: 'CURSOR', help: 'Begin after a change that --json showed. Default: now.' },
    asUser,
    ...clientOptions,
  ],
  examples: [
    { line: "millrace tables changes users --where 'age>25'", does: 'one line for each change' },
    { line: 'millrace tables changes users --json', does: 'the same as JSON, with cursors' },
  ],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const request = { ...selectionOf({ flags, words }), after: textFlag(flags, 'after') ?? '' }
    for await (const { changes } of server.tables.watchRowChanges(request)) {
      for (const { type, row, old, at, cursor } of changes) {
        const [now, before] = [row, old].map((json) => (json.length > 0 ? Buffer.from(json).toString() : undefined))
        const kind = changeNames[type] ?? ''
        if (flags.json) output.json({ type: kind, row: now && JSON.parse(now), old: before && JSON.parse(before), at, cursor })
        else output.line([at?.toISOString(), kind, now, before && `was ${before}`].filter((part) => part !== undefined).join(' '))
      }
    }
    return 0
  },
}

const changeNames: Readonly<Record<number, string>> = {
  [RowChangeType.INSERT]: 'insert',
  [RowChangeType.UPDATE]: 'update',
  [RowChangeType.DELETE]: 'delete',
  [RowChangeType.TRUNCATE]: 'truncate',
}

const insert: Command = {
  name: 'tables insert',
  summary: 'Add rows.',
  args: [name, { name: 'ROWS', help: 'a row or a list of rows as JSON; - reads standard input' }],
  options: [
    { name: 'on-conflict', placeholder: 'NAME,…', help: 'Columns of a unique constraint: rows that are there are changed.' },
    asUser,
    ...clientOptions,
  ],
  examples: [{ line: `millrace tables insert users '{"name":"Alice","age":30}'`, does: 'adds one' }],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    const rows = words[1] === '-' ? await readAll(stdin) : Buffer.from(words[1]!)
    using server = connect({ flags, env })
    const { result } = await server.tables.insertRows({
      table: words[0]!,
      rows,
      contentType: '',
      onConflict: textFlag(flags, 'on-conflict') ?? '',
      ignoreDuplicates: false,
      columns: '',
      withoutRows: false,
      asUser: textFlag(flags, 'as-user') ?? '',
    })
    showRows({ flags, output }, result)
    return 0
  },
}

async function readAll(stdin: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stdin) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const sql: Command = {
  name: 'tables sql',
  summary: 'Carry out one SQL statement.',
  args: [{ name: 'SQL', help: 'the statement; values stand in it as $1, $2, …' }],
  options: [{ name: 'value', placeholder: 'VALUE', help: 'The next value.', multiple: true }, ...clientOptions],
  examples: [{ line: "millrace tables sql 'SELECT * FROM users WHERE age > $1' --value 25", does: 'shows its rows' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const parameters = Buffer.from(JSON.stringify(flags.value ?? []))
    const { result, affected, command } = await server.tables.runSql({ text: words[0]!, parameters, contentType: '' })
    showRows({ flags, output }, result)
    if (!flags.json && !result?.columns.length) output.line(`${command} ${affected || ''}`.trim())
    return 0
  },
}

const migrate: Command = {
  name: 'tables migrate',
  summary: 'Carry out the migrations of a directory.',
  description:
    'Carries out the files *.sql of a directory that were not carried out before, in the order of their names, each in a transaction. One that was carried out and has changed since is refused.',
  args: [{ name: 'DIR', help: 'a directory of files *.sql' }],
  options: [{ name: 'dry-run', help: 'Only shows which files are to be carried out.' }, ...clientOptions],
  examples: [{ line: 'millrace tables migrate ./migrations', does: 'brings the schema up to date' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const migrations = await readMigrations(words[0]!)
    const dryRun = flags['dry-run'] === true
    using server = connect({ flags, env })
    const done = await server.tables.applyMigrations({ migrations, dryRun })
    if (flags.json) output.json(done)
    else {
      for (const file of done.applied) output.line(`${dryRun ? 'would carry out' : 'carried out'} ${file}`)
      if (done.applied.length === 0) output.line('Everything was carried out before.')
    }
    return 0
  },
}

/** Some editors begin files with it. Postgres takes it for a part of the first word. */
const byteOrderMark = /^\ufeff/

async function readMigrations(directory: string) {
  const { readdir, readFile } = await import('node:fs/promises')
  const { join } = await import('node:path')
  try {
    const files = (await readdir(directory)).filter((file) => file.endsWith('.sql')).sort()
    if (files.length === 0) throw new UsageError(`${directory} has no files *.sql`)
    const read = async (file: string) => ({ name: file, sql: (await readFile(join(directory, file), 'utf8')).replace(byteOrderMark, '') })
    return await Promise.all(files.map(read))
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`${directory} cannot be read (${(error as Error).message})`)
  }
}

const types: Command = {
  name: 'tables types',
  summary: 'Write TypeScript types of the tables.',
  options: clientOptions,
  examples: [{ line: 'millrace tables types > src/tables.ts', does: "for mr.table<Rows['users']>('users')" }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    const { tableTypes } = await import('../table-types.ts')
    using server = connect({ flags, env })
    const text = tableTypes((await server.tables.describeTables({ table: '' })).tables)
    if (flags.json) output.json({ types: text })
    else output.line(text.trimEnd())
    return 0
  },
}

/** `millrace tables …` */
export const tables: readonly Command[] = [list, describe, select, changes, insert, sql, migrate, types]
