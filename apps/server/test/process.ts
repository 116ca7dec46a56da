import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from './harness.ts'

const program = fileURLToPath(new URL('../src/cli.ts', import.meta.url))

/** What a program wrote and how it ended. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs `millrace` as a process of its own, killed after the test if it is still there.
 *
 * @param options - `stderr`: the open file that its standard error is. Default: it is kept.
 */
export async function spawnMillrace(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string; stderr?: number } = {},
) {
  const child: ChildProcess = spawn(process.execPath, ['--conditions=millrace-source', program, ...args], {
    cwd: options.cwd ?? (await temporaryFolder()),
    env: { PATH: process.env.PATH, ...options.env },
    stdio: ['ignore', 'pipe', options.stderr ?? 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout!.on('data', (chunk: Buffer) => (stdout += chunk))
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk))
  const ended: Promise<Ended> = once(child, 'close').then(([code]) => ({ code, stdout, stderr }))
  return {
    child,
    ended,
    /** The first line on standard output. */
    async firstLine(): Promise<string> {
      while (!stdout.includes('\n')) {
        const { code } = (await Promise.race([once(child.stdout!, 'data').then(() => ({})), ended])) as Partial<Ended>
        if (code !== undefined) throw new Error(`millrace ended with ${code}: ${stderr}`)
      }
      return stdout.slice(0, stdout.indexOf('\n'))
    },
  }
}
