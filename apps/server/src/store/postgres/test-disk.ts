import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why there can be no small disk for Postgres here; undefined when there can. */
export function whyNoMounts(): string | undefined {
  const { status, stderr } = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { encoding: 'utf8' })
  return status === 0 ? undefined : `mounting a disk needs more rights: ${stderr?.trim()}`
}

/** A file system of a few megabytes that Postgres may write, seen by those alone who run `via` it. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string
  readonly via: readonly string[]
  /** Carries out a shell command where the disk is. */
  run(command: string): void
}

/** Mounts one, in a mount namespace that a process holds which does nothing else. */
export async function mountSmallDisk(megabytes: number): Promise<SmallDisk> {
  const path = mkdtempSync(join(tmpdir(), 'millrace-disk-'))
  const mount = `mount -t tmpfs -o size=${megabytes}m,uid=postgres,mode=700 tmpfs ${path} && echo ready && exec cat`
  const holder = spawn('unshare', ['--mount', 'sh', '-c', mount], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  const via = ['nsenter', '--target', String(holder.pid), '--mount', '--']
  return {
    path,
    via,
    run: (command) => void execFileSync(via[0]!, [...via.slice(1), 'sh', '-c', command]),
    async [Symbol.asyncDispose]() {
      // It ends with its input, and so it does when this process dies.
      holder.stdin.end()
      await once(holder, 'exit')
      rmdirSync(path)
    },
  }
}
