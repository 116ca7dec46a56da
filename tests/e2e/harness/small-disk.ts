import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { kill, start } from './processes.ts'
import { temporaryFolder } from './temporary.ts'

const wayIn = ['unshare', '--mount', '--map-root-user'] as const

/** Why there can be no small disk here; undefined when there can. */
export const noSmallDisk: string | undefined = (() => {
  if (process.platform !== 'linux') return `mount namespaces are Linux's, and this is ${process.platform}`
  const { status, stderr, error } = spawnSync(wayIn[0], [...wayIn.slice(1), 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { encoding: 'utf8' })
  return status === 0 ? undefined : `this user may not mount: ${error?.message ?? stderr.trim()}`
})()

/** A file system of a few megabytes that only its own processes see. It is gone when this process is. */
export interface SmallDisk extends AsyncDisposable {
  /** Its path, for processes that run `via` it. */
  readonly path: string
  /** Runs a command where the disk is. */
  readonly via: readonly string[]
  /** Takes all but so many bytes, or gives them back (`Infinity`). */
  leaveFree(bytes: number): void
  /** Makes it read-only. */
  freeze(): void
}

/**
 * Makes a small disk: a tmpfs in a mount namespace of its own, held by a process that does nothing else.
 *
 * @param bytes - its size.
 */
export async function createSmallDisk(bytes: number): Promise<SmallDisk> {
  const path = temporaryFolder()
  const holder = start([...wayIn, 'sh', '-c', `mount -t tmpfs -o size=${bytes} tmpfs ${path} && echo ready && exec cat`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface({ input: holder.stdout! }), 'line')
  if (line !== 'ready') throw new Error(`The holder of the small disk said '${line}'.`)
  const inside = `/proc/${holder.pid}/root${path}`
  const via = ['nsenter', '--target', String(holder.pid), '--user', '--mount', '--preserve-credentials']
  const filler = `${inside}/filler`
  return {
    path,
    via,
    leaveFree(free) {
      if (free === Number.POSITIVE_INFINITY) return rmSync(filler, { force: true })
      const file = openSync(filler, 'a')
      try {
        for (const size of [65_536, 4096, 1]) {
          const block = Buffer.alloc(size)
          try {
            for (;;) writeSync(file, block)
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
          }
        }
      } finally {
        closeSync(file)
      }
      const { status, stderr } = spawnSync('truncate', ['-s', `-${free}`, filler], { encoding: 'utf8' })
      if (status !== 0) throw new Error(stderr)
    },
    freeze() {
      const [program, ...args] = via as [string, ...string[]]
      const { status, stderr } = spawnSync(program, [...args, 'mount', '-o', 'remount,ro', path], { encoding: 'utf8' })
      if (status !== 0) throw new Error(stderr)
    },
    [Symbol.asyncDispose]: () => kill(holder),
  }
}
