import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ended, start } from '../harness/processes.ts'
import { ownEnvironment } from '../harness/server.ts'
import type { ProcessSettings } from './settings.ts'

/** A worker or producer process. */
export interface Actor {
  readonly name: string
  readonly child: ChildProcess
  /** Asks it to end well, and waits. Rejects when it did not end well. */
  stop(): Promise<void>
}

/** Starts the processes of a crash test and notices those that end without being asked to. */
export interface Cast {
  /**
   * Starts one and waits until it runs.
   *
   * @param program - a file of this folder.
   * @param settings - its argument.
   */
  enter(program: 'worker' | 'producer' | 'stage-worker', settings: ProcessSettings): Promise<Actor>
  /** Kills one as a crash would, and waits until it is gone. */
  kill(actor: Actor): Promise<void>
  /** Those that ended by themselves, with what they wrote. */
  readonly failures: readonly string[]
}

/** Makes an empty cast. */
export function createCast(): Cast {
  const failures: string[] = []
  const expected = new WeakSet<ChildProcess>()
  return {
    failures,
    async enter(program, settings) {
      const file = fileURLToPath(new URL(`${program}.ts`, import.meta.url))
      const flags = ['--conditions=millrace-source', '--disable-warning=ExperimentalWarning']
      const child = start([process.execPath, ...flags, file, JSON.stringify(settings)], {
        stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
        env: ownEnvironment(),
      })
      let output = ''
      child.stderr!.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-8192)
      })
      child.once('close', (code, signal) => {
        if (!expected.has(child)) failures.push(`${settings.name} ended with ${signal ?? code}:\n${output}`)
      })
      await once(child, 'message')
      return {
        name: settings.name,
        child,
        async stop() {
          expected.add(child)
          child.send('stop')
          const { code, signal } = await ended(child)
          if (code !== 0) throw new Error(`${settings.name} ended with ${signal ?? code}:\n${output}`)
        },
      }
    },
    async kill({ child }) {
      expected.add(child)
      child.kill('SIGKILL')
      await ended(child)
    },
  }
}
