import { closeSync, fdatasync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs'
import { promisify } from 'node:util'

const datasync = promisify(fdatasync)
const chunkBytes = 1 << 20

/** SQLite's write-ahead log as a file, to bring it to the disk. SQLite keeps the same file for as long as the database is open. */
export class Log {
  readonly #file: number

  /**
   * @param path - the log, which exists.
   * @throws Error of the file system.
   */
  constructor(path: string) {
    this.#file = openSync(path, 'r+')
  }

  /** Brings all that is in it to the disk. */
  async sync(): Promise<void> {
    await datasync(this.#file)
  }

  /**
   * Writes its bytes over themselves and brings them to the disk. After a sync that failed this is the only way to be sure:
   * Linux then takes what it could not write for written, and a later sync leaves it out.
   * Source: Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
   */
  resync(): void {
    const chunk = Buffer.alloc(chunkBytes)
    for (let at = 0; ; ) {
      const bytes = readSync(this.#file, chunk, 0, chunkBytes, at)
      if (bytes === 0) break
      for (let written = 0; written < bytes; ) written += writeSync(this.#file, chunk, written, bytes - written, at + written)
      at += bytes
    }
    fdatasyncSync(this.#file)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Makes sure of what an earlier server left in the log: it may have ended because the disk failed. */
export function resyncLog(path: string): void {
  let log: Log
  try {
    log = new Log(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  try {
    log.resync()
  } finally {
    log.close()
  }
}
