import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { startGuard } from './guard.ts'

/** How to start a private service. */
export interface ServiceProcessOptions {
  /** Its name in errors. */
  readonly name: string
  /** The program: a path, or a name found on `PATH`. */
  readonly command: string
  readonly args: readonly string[]
  /** Its own folder, made by the caller; removed when the service has stopped. */
  readonly dir: string
  readonly env?: NodeJS.ProcessEnv
  /** What to say when the program is not there. */
  readonly ifMissing: string
  /** True for the line of its output, on either stream, that says it is ready. */
  isReady(line: string): boolean
  /** Longest wait for that line, in milliseconds. Default 10000. */
  readonly readyTimeout?: number
}

/** A service that runs. It ends with {@link ServiceProcess.stop}, or with this process, however that ends. */
export interface ServiceProcess extends AsyncDisposable {
  readonly pid: number
  readonly dir: string
  /** The line that said it was ready. */
  readonly readyLine: string
  /** Its last lines of output. */
  output(): string
  /** Asks it to end, insists after 10 s, and removes its folder. Safe to call again. */
  stop(): Promise<void>
}

const linesKept = 200
const insistAfterMs = 10_000

/** Starts a service and waits until it is ready. Throws when the program is missing, ends early or is not ready in time. */
export async function startServiceProcess(options: ServiceProcessOptions): Promise<ServiceProcess> {
  const child = spawn(options.command, options.args, { stdio: ['ignore', 'pipe', 'pipe'], env: options.env ?? process.env })
  try {
    await once(child, 'spawn')
  } catch (cause) {
    rmSync(options.dir, { recursive: true, force: true })
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Error(missing ? options.ifMissing : `${options.name} could not be started: ${(cause as Error).message}`, { cause })
  }
  const pid = child.pid!
  const guard = startGuard(pid, options.dir)
  const exited = once(child, 'exit')
  const lines: string[] = []
  const output = () => lines.join('\n')
  let stopping: Promise<void> | undefined
  const stop = () => (stopping ??= end(child, exited).then(() => guard.release()))
  try {
    const readyLine = await waitUntilReady(child, options, lines)
    child.unref()
    return { pid, dir: options.dir, readyLine, output, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function waitUntilReady(child: ChildProcess, options: ServiceProcessOptions, lines: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) => reject(new Error(`${options.name} ${what}. Its output:\n${lines.join('\n') || '(none)'}`))
    const limit = options.readyTimeout ?? 10_000
    const timer = setTimeout(() => fail(`was not ready within ${limit} ms`), limit)
    // 'close' and not 'exit': by then its last words have been read.
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      fail(`ended before it was ready (${signal ?? `exit code ${code}`})`)
    })
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        if (lines.length > linesKept) lines.shift()
        if (!options.isReady(line)) return
        clearTimeout(timer)
        resolve(line)
      })
      // Reading goes on for as long as this process lives, but does not keep it alive.
      ;(stream as unknown as { unref(): void }).unref()
    }
  })
}

async function end(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.ref()
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), insistAfterMs)
  await exited
  clearTimeout(timer)
}
