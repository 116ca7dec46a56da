import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'

/** Every child of this process that still lives: none may outlive the tests, however they end. */
const living = new Set<ChildProcess>()

function killAll(): void {
  for (const child of living) child.kill('SIGKILL')
}

process.on('exit', killAll)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

/**
 * Starts a child that dies with this process.
 *
 * @param command - the program and its arguments.
 * @param options - as for `node:child_process`.
 */
export function start(command: readonly [string, ...string[]], options: SpawnOptions): ChildProcess {
  const [program, ...args] = command
  const child = spawn(program, args, options)
  living.add(child)
  child.once('exit', () => living.delete(child))
  child.once('error', () => living.delete(child))
  return child
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Waits for a child to end, or says how it did. */
export async function ended(child: ChildProcess): Promise<Ended> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return { code: child.exitCode, signal: child.signalCode }
}

/** Kills a child as a crash would, and waits until it is gone. */
export async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await ended(child)
}
