import { FileFormat, ImportMode, type ResultColumn } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../command.ts'
import type { Output } from '../output.ts'
import { choiceFlag, durationFlag, limitFlag, showTime, textFlag } from '../values.ts'

const database = { name: 'DATABASE', help: 'the name of a database' }
const longest = { name: 'timeout', placeholder: 'TIME', help: "Longest time, such as 1m. Default: the server's limit." }

const create: Command = {
  name: 'databases create',
  summary: 'Make an analytical database.',
  args: [database],
  options: [{ name: 'if-not-exists', help: 'One that is there is no error.' }, ...clientOptions],
  examples: [{ line: 'millrace databases create sales', does: 'an empty database' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const request = { database: words[0]!, metadata: {}, ifNotExists: flags['if-not-exists'] === true }
    const { database: made, created } = await server.databases.createDatabase(request)
    if (flags.json) output.json({ ...made, created })
    else output.line(created ? 'created' : 'was there')
    return 0
  },
}

const list: Command = {
  name: 'databases list',
  summary: 'List the analytical databases that the server keeps.',
  options: clientOptions,
  examples: [{ line: 'millrace databases list', does: 'names and sizes' }],
  async run({ flags, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const rows: (readonly [string, number, string])[] = []
    let cursor = ''
    do {
      const page = await server.databases.listDatabases({ limit: 1000, cursor })
      for (const each of page.databases) {
        if (flags.json) output.json(each)
        else rows.push([each.name, each.sizeBytes, showTime(each.createdAt)])
      }
      cursor = page.nextCursor
    } while (cursor !== '')
    if (!flags.json) output.table(['database', 'bytes', 'created'], rows)
    return 0
  },
}

const drop: Command = {
  name: 'databases drop',
  summary: 'Delete an analytical database with everything in it.',
  description: 'Deletes an analytical database with everything in it. Exit code 1 when it was not there.',
  args: [database],
  options: clientOptions,
  examples: [{ line: 'millrace databases drop sales', does: 'gone' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { dropped } = await server.databases.dropDatabase({ database: words[0]! })
    if (flags.json) output.json({ dropped })
    else output.line(dropped ? 'dropped' : 'was not there')
    return dropped ? 0 : 1
  },
}

const sql: Command = {
  name: 'sql',
  summary: 'Ask or change an analytical database.',
  description:
    'Asks or changes an analytical database. With --json each row is a line. A statement that changes something is told apart by its first word; --execute says so.',
  args: [database, { name: 'SQL', help: 'one statement' }],
  options: [
    { name: 'parameters', placeholder: 'JSON', help: 'Parameters: a list for ? and $1, an object for $name.' },
    { name: 'limit', placeholder: 'N', help: 'Most rows shown.', default: '1000' },
    longest,
    { name: 'execute', help: 'It changes something: show how many rows.' },
    ...clientOptions,
  ],
  examples: [
    { line: `millrace sql sales 'SELECT city, sum(price) FROM orders GROUP BY ALL'`, does: 'a table' },
    { line: `millrace sql sales 'INSERT INTO orders VALUES ($1, $2)' --parameters '["Oslo", 12.5]'`, does: 'how many rows it inserted' },
  ],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [name = '', text = ''] = words
    const request = {
      database: name,
      sql: text,
      parameters: Buffer.from(checkJson(textFlag(flags, 'parameters') ?? '')),
      contentType: '',
      timeoutMs: durationFlag(flags, 'timeout'),
    }
    using server = connect({ flags, env })
    if (flags.execute || changes.test(text)) {
      const { rows } = await server.databases.executeStatement(request)
      if (flags.json) output.json({ rows })
      else output.line(`${rows} ${rows === 1 ? 'row' : 'rows'}`)
      return 0
    }
    const limit = limitFlag(flags, 1000)
    const answer = await server.databases.queryRows({ ...request, limit })
    const columns = JSON.parse(Buffer.from(answer.values).toString()) as unknown[][]
    const rows = Array.from({ length: answer.rows }, (_, row) => columns.map((column) => column[row]))
    showRows(output, answer.columns, rows, flags.json === true)
    if (answer.more) output.remark(`There are more rows than these ${answer.rows}.`)
    return 0
  },
}

const importObject: Command = {
  name: 'databases import',
  summary: 'Import the rows of an object of a bucket into a table, all or none.',
  args: [
    database,
    { name: 'TABLE', help: 'the name of a table' },
    { name: 'BUCKET', help: 'the name of a bucket' },
    { name: 'KEY', help: 'the key of a CSV, Parquet or JSON object' },
  ],
  options: [
    { name: 'format', placeholder: 'FORMAT', help: 'csv, parquet or json. Default: as the end of the key says.' },
    { name: 'mode', placeholder: 'MODE', help: 'create, append or replace the table.', default: 'create' },
    longest,
    ...clientOptions,
  ],
  examples: [{ line: 'millrace databases import sales orders raw sales/2025.csv --mode append', does: 'how many rows it imported' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [name = '', table = '', bucket = '', key = ''] = words
    const request = {
      database: name,
      table,
      bucket,
      key,
      format: choiceFlag(flags, 'format', formats) ?? FileFormat.UNSPECIFIED,
      mode:
        choiceFlag(flags, 'mode', { create: ImportMode.CREATE, append: ImportMode.APPEND, replace: ImportMode.REPLACE }) ??
        ImportMode.CREATE,
      timeoutMs: durationFlag(flags, 'timeout'),
    }
    using server = connect({ flags, env })
    const { rows } = await server.databases.importObject(request)
    if (flags.json) output.json({ rows })
    else output.line(`${rows} ${rows === 1 ? 'row' : 'rows'}`)
    return 0
  },
}

const exportObject: Command = {
  name: 'databases export',
  summary: 'Write the rows of a table, or of a query, into an object of a bucket.',
  description:
    'Writes the rows of a table, or of a query, into an object of a bucket. An object that is there is replaced when the new one is whole.',
  args: [
    database,
    { name: 'TABLE', help: 'the name of a table or view; with --query, a query' },
    { name: 'BUCKET', help: 'the name of a bucket' },
    { name: 'KEY', help: 'the key of the object' },
  ],
  options: [
    { name: 'query', help: 'TABLE is a query: write its rows.' },
    { name: 'parameters', placeholder: 'JSON', help: 'Parameters of the query: a list for ? and $1, an object for $name.' },
    { name: 'format', placeholder: 'FORMAT', help: 'csv, parquet or json. Default: as the end of the key says.' },
    longest,
    ...clientOptions,
  ],
  examples: [
    { line: 'millrace databases export sales orders raw orders.parquet', does: 'how many rows it wrote' },
    {
      line: `millrace databases export sales 'FROM orders WHERE price > $1' raw dear.csv --query --parameters '[100]'`,
      does: 'a part of them',
    },
  ],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [name = '', rows = '', bucket = '', key = ''] = words
    const request = {
      database: name,
      table: flags.query === true ? '' : rows,
      sql: flags.query === true ? rows : '',
      parameters: Buffer.from(checkJson(textFlag(flags, 'parameters') ?? '')),
      contentType: '',
      bucket,
      key,
      format: choiceFlag(flags, 'format', formats) ?? FileFormat.UNSPECIFIED,
      timeoutMs: durationFlag(flags, 'timeout'),
    }
    using server = connect({ flags, env })
    const written = await server.databases.exportObject(request)
    if (flags.json) output.json(written)
    else output.line(`${written.rows} ${written.rows === 1 ? 'row' : 'rows'}, ${written.size} bytes`)
    return 0
  },
}

const backup: Command = {
  name: 'databases backup',
  summary: 'Write a backup of an analytical database into an object of a bucket.',
  description:
    'Writes a backup of an analytical database into an object of a bucket. An object that is there is replaced when the new one is whole. Changes wait while the file is copied; queries do not.',
  args: [database, { name: 'BUCKET', help: 'the name of a bucket' }, { name: 'KEY', help: 'the key of the object' }],
  options: [longest, ...clientOptions],
  examples: [{ line: 'millrace databases backup sales backups sales/monday', does: 'how large it is' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [name = '', bucket = '', key = ''] = words
    using server = connect({ flags, env })
    const made = await server.databases.backupDatabase({ database: name, bucket, key, timeoutMs: durationFlag(flags, 'timeout') })
    if (flags.json) output.json(made)
    else output.line(`${made.size} bytes`)
    return 0
  },
}

const restore: Command = {
  name: 'databases restore',
  summary: 'Make an analytical database of a backup, all or nothing.',
  args: [database, { name: 'BUCKET', help: 'the name of a bucket' }, { name: 'KEY', help: 'the key of the backup' }],
  options: [{ name: 'replace', help: 'It takes the place of a database that is there.' }, longest, ...clientOptions],
  examples: [{ line: 'millrace databases restore sales backups sales/monday --replace', does: 'how large the database is' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [name = '', bucket = '', key = ''] = words
    using server = connect({ flags, env })
    const request = { database: name, bucket, key, replace: flags.replace === true, timeoutMs: durationFlag(flags, 'timeout') }
    const { database: made } = await server.databases.restoreDatabase(request)
    if (flags.json) output.json(made)
    else output.line(`restored, ${made?.sizeBytes} bytes`)
    return 0
  },
}

/** `millrace databases …`, `millrace sql` */
export const databases: readonly Command[] = [create, list, drop, importObject, exportObject, backup, restore, sql]

const formats = { csv: FileFormat.CSV, parquet: FileFormat.PARQUET, json: FileFormat.JSON }

const changes = /^\s*(?:insert|update|delete|merge|create|alter|drop|truncate|vacuum|analyze|comment)\b/i

function checkJson(text: string): string {
  try {
    if (text !== '') JSON.parse(text)
    return text
  } catch {
    throw new UsageError('--parameters is not JSON')
  }
}

function showRows(output: Output, columns: readonly ResultColumn[], rows: readonly (readonly unknown[])[], isJson: boolean): void {
  if (isJson) {
    for (const row of rows) output.json(Object.fromEntries(columns.map(({ name }, i) => [name, row[i]])))
    return
  }
  const cells = rows.map((row) =>
    row.map((value) => {
      if (value === null) return 'NULL'
      return typeof value === 'number' || typeof value === 'string' ? value : JSON.stringify(value)
    }),
  )
  output.table(
    columns.map(({ name }) => name),
    cells,
  )
}
