import { spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { removeFolder, temporaryFolder } from '../harness/temporary.ts'

const source = fileURLToPath(new URL('recorder.c', import.meta.url))

/** Why nothing can be recorded here; undefined when it can. */
export const noRecorder: string | undefined = (() => {
  if (process.platform !== 'linux') return `LD_PRELOAD is Linux's, and this is ${process.platform}`
  const { error } = spawnSync('cc', ['--version'])
  return error && 'there is no C compiler (apt-get install gcc libc6-dev)'
})()

/** What happened to a file. */
export interface Entry {
  /** What: see `recorder.c`. */
  readonly kind: string
  readonly path: string
  readonly offset: number
  readonly data: Buffer
}

/** A record of what processes do below a folder. */
export interface Recorder extends Disposable {
  /** The folder. */
  readonly folder: string
  /** What a process is given to be recorded. */
  readonly env: Readonly<Record<string, string>>
  /** Writes the test's own remark into the record: after all that was done by now, before all that is done later. */
  remark(name: string, value: string): void
  /** All that was recorded. */
  entries(): Iterable<Entry>
}

/**
 * Makes a recorder of an empty folder.
 *
 * @param failSync - every so manieth sync fails; absent: none.
 */
export function createRecorder(failSync?: number): Recorder {
  const tools = temporaryFolder()
  const library = join(tools, 'recorder.so')
  const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl', '-lpthread'], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`recorder.c does not compile:\n${stderr}`)
  const folder = temporaryFolder()
  const log = join(tools, 'record')
  writeFileSync(log, '')
  return {
    folder,
    env: {
      LD_PRELOAD: library,
      RECORDER_ROOT: folder,
      RECORDER_LOG: log,
      ...(failSync && { RECORDER_FAIL_SYNC: String(failSync) }),
    },
    remark: (name, value) => appendFileSync(log, encode('A', name, value)),
    entries: () => decode(readFileSync(log)),
    [Symbol.dispose]() {
      removeFolder(tools)
      removeFolder(folder)
    },
  }
}

const headBytes = 17

function encode(kind: string, path: string, data: string): Buffer {
  const head = Buffer.alloc(headBytes)
  head.write(kind, 'latin1')
  head.writeUInt32LE(Buffer.byteLength(path), 1)
  head.writeUInt32LE(Buffer.byteLength(data), 13)
  return Buffer.concat([head, Buffer.from(path), Buffer.from(data)])
}

function* decode(record: Buffer): Generator<Entry> {
  for (let at = 0; at + headBytes <= record.length; ) {
    const name = at + headBytes
    const data = name + record.readUInt32LE(at + 1)
    const end = data + record.readUInt32LE(at + 13)
    if (end > record.length) return // the process was killed in the middle of it
    yield {
      kind: record.toString('latin1', at, at + 1),
      path: record.toString('utf8', name, data),
      offset: Number(record.readBigUInt64LE(at + 5)),
      data: record.subarray(data, end),
    }
    at = end
  }
}
