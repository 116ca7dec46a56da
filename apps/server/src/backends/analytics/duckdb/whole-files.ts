import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { invalid } from '../../../errors.ts'
import { databaseFile } from './host/files.ts'
import { Gate } from './host/gate.ts'
import type { HostLimits } from './host/protocol.ts'
import { HostProcess } from './host-process.ts'

/** Bytes read at a time. */
const readBytes = 256 * 1024

/** Files of databases that nobody has open: copies on their way out, and what comes from anywhere, until it is found good. */
export class WholeFiles {
  readonly #root: string
  readonly #limits: HostLimits
  readonly #gate = new Gate()

  /** @param root - directory of all databases. */
  constructor(root: string, limits: HostLimits) {
    this.#root = root
    this.#limits = limits
  }

  /** Writes the file of a database. @param at - its directory. */
  async write(at: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const file = await open(join(this.#root, at, databaseFile), 'wx', 0o600)
    try {
      for await (const some of bytes) await file.writeFile(some)
      await file.sync()
    } finally {
      await file.close()
    }
  }

  /**
   * Has a process of its own, one at a time, open and read a database: what it does to that process it does to nobody else.
   *
   * @throws VALIDATION when the process did not come through, or found something wrong.
   */
  verify(at: string, path: string, signal: AbortSignal): Promise<void> {
    return this.#gate.passAlone(async () => {
      signal.throwIfAborted()
      const host = new HostProcess(this.#root, this.#limits)
      const kill = (): void => void host.kill()
      signal.addEventListener('abort', kill)
      try {
        await host.call('verify', { at, path })
      } catch (error) {
        signal.throwIfAborted()
        if (host.isRunning) throw error
        throw invalid(path, 'holds no database that can be used here: the process that opened it ended; nothing was restored')
      } finally {
        signal.removeEventListener('abort', kill)
        await host.kill()
      }
    })
  }

  /** The file of a database. */
  read(at: string): AsyncIterable<Uint8Array> {
    return createReadStream(join(this.#root, at, databaseFile), { highWaterMark: readBytes })
  }

  /** Bytes of it. */
  async size(at: string): Promise<number> {
    return (await stat(join(this.#root, at, databaseFile))).size
  }
}
