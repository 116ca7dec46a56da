import { createReadStream, createWriteStream } from 'node:fs'
import { stat as statFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import type { StoredObject } from '@millrace/protocol'
import { clientOptions } from '../client-options.ts'
import { CallError, type Command, UsageError } from '../command.ts'
import { receive, send } from '../object-bytes.ts'
import { durationFlag, integerFlag, limitFlag, pairsFlag, showTime, textFlag } from '../values.ts'

const bucketArg = { name: 'BUCKET', help: 'the name of a bucket' }
const keyArg = { name: 'KEY', help: 'the key of an object' }
const typeOption = { name: 'content-type', placeholder: 'TYPE', help: 'Media type.' }

const put: Command = {
  name: 'objects put',
  summary: 'Write an object.',
  args: [bucketArg, keyArg, { name: 'FILE', help: 'a file, or - for standard input' }],
  options: [
    typeOption,
    { name: 'meta', placeholder: 'NAME=VALUE', help: 'A text of yours.', multiple: true },
    { name: 'if-absent', help: 'Only when the key has no object.' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace objects put raw sales/2025.csv sales.csv --content-type text/csv', does: 'a file' }],
  async run({ flags, words, env, output, stdin }) {
    const { connect } = await import('../connect.ts')
    const [bucket = '', key = '', file = ''] = words
    const size = file === '-' ? undefined : await sizeOf(file)
    const header = {
      bucket,
      key,
      contentType: textFlag(flags, 'content-type') ?? '',
      metadata: pairsFlag(flags, 'meta'),
      sha256: '',
      size,
      ifMatch: '',
      ifAbsent: flags['if-absent'] === true,
    }
    using server = connect({ flags, env })
    const source = file === '-' ? stdin : createReadStream(file)
    const messages = send(header, source, (sent) => output.progress(shownProgress(sent, size)))
    const { object } = await server.objects.putObject(messages).catch((error: unknown) => Promise.reject(fileProblem(file, error)))
    output.progress('')
    if (flags.json) output.json(object)
    else output.line(`${object!.key}  ${object!.size} bytes  ${object!.etag}`)
    return 0
  },
}

const get: Command = {
  name: 'objects get',
  summary: 'Read an object.',
  args: [bucketArg, keyArg, { name: 'FILE', help: 'where to write it; standard output when it is left out', optional: true }],
  options: [
    { name: 'offset', placeholder: 'N', help: 'First byte, from 0.' },
    { name: 'length', placeholder: 'N', help: 'Bytes at most.' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace objects get raw sales/2025.csv sales.csv', does: 'into a file' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [bucket = '', key = '', file] = words
    const length = textFlag(flags, 'length') === undefined ? undefined : integerFlag(flags, 'length')
    const request = { bucket, key, offset: integerFlag(flags, 'offset'), length, ifMatch: '', ifNoneMatch: '' }
    using server = connect({ flags, env })
    const bytes = receive(server.objects.getObject(request), (came, all) => file && output.progress(shownProgress(came, all)))
    if (file === undefined) for await (const chunk of bytes) await output.bytes(chunk)
    else {
      // A file that is there stays when there is no such object.
      const first = await bytes.next()
      await pipeline(after(first, bytes), createWriteStream(file)).catch((error: unknown) => Promise.reject(fileProblem(file, error)))
    }
    output.progress('')
    return 0
  },
}

const list: Command = {
  name: 'objects ls',
  summary: 'List objects, by key.',
  args: [bucketArg, { name: 'PREFIX', help: 'only keys that begin with this', optional: true }],
  options: [
    { name: 'recursive', help: 'Every key, instead of one line for what keys have in common up to the next slash.' },
    { name: 'limit', placeholder: 'N', help: 'Most lines shown.', default: 'all' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace objects ls raw sales/', does: 'as a file system shows it' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [bucket = '', prefix = ''] = words
    const limit = limitFlag(flags, Infinity)
    using server = connect({ flags, env })
    let shown = 0
    let cursor = ''
    do {
      const delimiter = flags.recursive ? '' : '/'
      const page = await server.objects.listObjects({ bucket, prefix, delimiter, limit: Math.min(limit - shown, 1000), cursor })
      for (const common of page.prefixes) {
        if (flags.json) output.json({ prefix: common })
        else output.line(`${''.padEnd(31)}${common}`)
      }
      for (const object of page.objects) {
        if (flags.json) output.json(shownObject(object))
        else output.line(`${showTime(object.updatedAt)}  ${String(object.size).padStart(12)}  ${object.key}`)
      }
      shown += page.prefixes.length + page.objects.length
      cursor = page.nextCursor
    } while (cursor !== '' && shown < limit)
    return 0
  },
}

const stat: Command = {
  name: 'objects stat',
  summary: 'Show what an object is.',
  args: [bucketArg, keyArg],
  options: clientOptions,
  examples: [{ line: 'millrace objects stat raw sales/2025.csv', does: 'its length, type, digest and metadata' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { object } = await server.objects.statObject({ bucket: words[0]!, key: words[1]! })
    if (flags.json) output.json(object)
    else {
      const { key, size, contentType: type, etag, metadata, updatedAt, expiresAt } = object!
      const texts = Object.entries(metadata).map(([name, value]) => `${name}=${value}`)
      output.fields({
        key,
        size,
        type,
        etag,
        metadata: texts.join(' '),
        written: showTime(updatedAt),
        ends: expiresAt && showTime(expiresAt),
      })
    }
    return 0
  },
}

const copy: Command = {
  name: 'objects cp',
  summary: 'Copy or move an object.',
  args: [bucketArg, keyArg, { name: 'TO', help: 'the key of the copy' }],
  options: [
    { name: 'to-bucket', placeholder: 'BUCKET', help: 'The bucket to copy into. Default: the same.' },
    { name: 'move', help: 'The source goes away in the same moment.' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace objects cp raw sales.csv old/sales.csv --move', does: 'another key' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [sourceBucket = '', sourceKey = '', key = ''] = words
    const request = {
      bucket: textFlag(flags, 'to-bucket') ?? sourceBucket,
      key,
      sourceBucket,
      sourceKey,
      move: flags.move === true,
      replace: false,
      contentType: '',
      metadata: {},
      ifMatch: '',
      ifAbsent: false,
    }
    using server = connect({ flags, env })
    const { object } = await server.objects.copyObject(request)
    if (flags.json) output.json(object)
    else output.line(`${object!.bucket}/${object!.key}`)
    return 0
  },
}

const remove: Command = {
  name: 'objects rm',
  summary: 'Delete an object.',
  description: 'Deletes an object. Exit code 1 when it was not there.',
  args: [bucketArg, keyArg],
  options: clientOptions,
  examples: [{ line: 'millrace objects rm raw sales/2025.csv', does: 'gone' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    using server = connect({ flags, env })
    const { deleted } = await server.objects.deleteObjects({ bucket: words[0]!, keys: [words[1]!], ifMatch: '' })
    if (flags.json) output.json({ deleted: deleted.length > 0 })
    else if (deleted.length > 0) output.line('deleted')
    else throw new CallError(`There is no object '${words[1]}' in '${words[0]}'.`)
    return deleted.length > 0 ? 0 : 1
  },
}

const presign: Command = {
  name: 'objects presign',
  summary: 'Make a URL that reads or writes an object without a key.',
  args: [bucketArg, keyArg],
  options: [
    { name: 'method', placeholder: 'GET|PUT', help: 'Read or write.', default: 'GET' },
    { name: 'expires', placeholder: 'TIME', help: 'How long it is good for, at most 7d.', default: '1h' },
    { ...typeOption, help: 'For PUT: the media type that must be sent.' },
    ...clientOptions,
  ],
  examples: [{ line: 'millrace objects presign raw report.pdf --expires 5m', does: 'a URL to hand on' }],
  async run({ flags, words, env, output }) {
    const { connect } = await import('../connect.ts')
    const [method, contentType] = [textFlag(flags, 'method') ?? '', textFlag(flags, 'content-type') ?? '']
    const request = { bucket: words[0]!, key: words[1]!, method, expiresInMs: durationFlag(flags, 'expires'), contentType }
    using server = connect({ flags, env })
    const { url, expiresAt } = await server.objects.presignObject(request)
    if (flags.json) output.json({ url, expiresAt })
    else output.line(url)
    return 0
  },
}

/** `millrace objects …` */
export const objects: readonly Command[] = [put, get, list, stat, copy, remove, presign]

function shownObject({ metadata: _unknown, ...object }: StoredObject) {
  return object
}

function shownProgress(bytes: number, all: number | undefined): string {
  const mebibytes = (count: number) => `${(count / 1024 ** 2).toFixed(1)} MiB`
  return all ? `${mebibytes(bytes)} of ${mebibytes(all)} (${Math.floor((bytes / all) * 100)} %)` : mebibytes(bytes)
}

async function* after(first: IteratorResult<Uint8Array, void>, rest: AsyncIterable<Uint8Array>) {
  if (first.done) return
  yield first.value
  yield* rest
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await statFile(file)).size
  } catch (error) {
    throw fileProblem(file, error)
  }
}

function fileProblem(file: string, error: unknown): unknown {
  const isOfFile = typeof (error as NodeJS.ErrnoException).syscall === 'string'
  return isOfFile ? new UsageError(`The file ${file} cannot be used (${(error as Error).message})`) : error
}
