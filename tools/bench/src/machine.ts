import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { postgresVersion, redisVersion } from '@millrace/dev'
import type { StoreName } from './options.ts'
import { percentile } from './statistics.ts'

/** What the figures depend on. */
export interface MachineFacts {
  readonly cores: number
  readonly cpu: string
  readonly memoryGiB: number
  readonly node: string
  /** Where the data lies: `ext4 on /dev/vda`. */
  readonly disk: string
  /** Milliseconds of one fsync after a 4 KiB append there, measured just now. */
  readonly fsyncP50: number
  readonly fsyncP99: number
  /** One-minute load before the first measurement. */
  readonly load: number
}

/** Measures the disk and reads the rest. */
export function machineFacts(dir: string): MachineFacts {
  const fsyncs = fsyncTimes(dir)
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    disk: fileSystemOf(dir),
    fsyncP50: percentile(fsyncs, 0.5),
    fsyncP99: percentile(fsyncs, 0.99),
    load: loadavg()[0]!,
  }
}

/** What Millrace is compared with. Throws when there is no Redis, or no Postgres. */
export function peerVersions(store: StoreName): string {
  const { dependencies } = createRequire(import.meta.url)('../package.json') as { dependencies: Record<string, string> }
  // They are exact, and not every package shows its own.
  const version = (name: string) => dependencies[name]!
  if (store === 'postgres') {
    return `Postgres ${postgresVersion()} as it comes; pg-boss ${version('pg-boss')}, graphile-worker ${version('graphile-worker')} on pg ${version('pg')}`
  }
  return `BullMQ ${version('bullmq')} on ioredis ${version('ioredis')} and Redis ${redisVersion()}, appendonly yes`
}

/** A new folder on a real disk: under `parent`, else the system's temporary folder, else `/var/tmp`. Throws when all are in memory. */
export function makeDataDir(parent: string | undefined): string {
  const onDisk = (parent === undefined ? [tmpdir(), '/var/tmp'] : [parent]).find((each) => !/^(tmpfs|ramfs) /.test(fileSystemOf(each)))
  if (onDisk === undefined)
    throw new Error(`${parent ?? tmpdir()} is in memory, where an fsync costs nothing; give a folder on a disk with --dir`)
  return mkdtempSync(join(onDisk, 'millrace-bench-'))
}

function fsyncTimes(dir: string): number[] {
  const path = join(dir, 'fsync')
  const file = openSync(path, 'w')
  const block = Buffer.alloc(4096, 1)
  const times: number[] = []
  for (let i = 0; i < 300; i++) {
    writeSync(file, block)
    const start = performance.now()
    fdatasyncSync(file)
    times.push(performance.now() - start)
  }
  closeSync(file)
  rmSync(path)
  return times
}

function fileSystemOf(dir: string): string {
  const path = realpathSync(dir)
  const mounts = readFileSync('/proc/self/mounts', 'utf8').trim().split('\n')
  let best = { point: '', text: 'unknown' }
  for (const line of mounts) {
    const [device = '', point = '', type = ''] = line.split(' ')
    const holds = path === point || path.startsWith(point === '/' ? '/' : `${point}/`)
    if (holds && point.length >= best.point.length) best = { point, text: `${type} on ${device}` }
  }
  return best.text
}
