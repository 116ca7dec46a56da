import { open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Clock } from './clock.ts'
import { makeDirectory } from './make-directory.ts'
import type { Store } from './store/ports.ts'

const name = /^millrace-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z\.db$/
/** The wait after a copy failed. */
const retryMs = 60_000

/** Copies a store to a directory from time to time, and keeps the newest copies. */
export class Backups {
  readonly #options: {
    readonly store: Store
    readonly clock: Clock
    readonly everyMs: number
    readonly keep: number
    readonly logger: Logger
  }
  #directory = ''
  #cancel: () => void = () => undefined
  #working: Promise<void> | undefined
  #closed = false

  /** @param options - `everyMs` from one copy to the next; `keep` copies stay. */
  constructor(options: { store: Store; clock: Clock; everyMs: number; keep: number; logger: Logger }) {
    this.#options = options
  }

  /** Begins; the first copy is made when the newest that is there is old enough. */
  async start(directory: string): Promise<void> {
    await makeDirectory(directory, 0o700)
    this.#directory = directory
    const newest = (await this.#copies()).at(-1)
    const { clock, everyMs } = this.#options
    this.#schedule(newest === undefined ? 0 : timeOf(newest) + everyMs - clock.now())
  }

  /** Makes no more; resolves when the one under way is done. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    await this.#working
  }

  #schedule(ms: number): void {
    const { clock, everyMs, logger } = this.#options
    this.#cancel = clock.timer(ms, () => {
      const begun = clock.now()
      const done = () => {
        if (!this.#closed) this.#schedule(begun + everyMs - clock.now())
      }
      const failed = (err: unknown) => {
        logger.error({ err, directory: this.#directory }, 'the store could not be copied')
        if (!this.#closed) this.#schedule(Math.min(retryMs, everyMs))
      }
      this.#working = this.#copy().then(done, failed)
    })
  }

  async #copy(): Promise<void> {
    const { store, clock, keep, logger } = this.#options
    const file = join(this.#directory, `millrace-${new Date(clock.now()).toISOString().slice(0, 19).replaceAll(':', '-')}Z.db`)
    const part = `${file}.part`
    await rm(part, { force: true })
    await store.backup!(part)
    await sync(part)
    await rename(part, file)
    await sync(this.#directory)
    logger.info({ file }, 'the store is copied')
    for (const old of (await this.#copies()).slice(0, -keep)) await rm(join(this.#directory, old))
  }

  /** Oldest first. */
  async #copies(): Promise<string[]> {
    return (await readdir(this.#directory)).filter((file) => name.test(file)).sort()
  }
}

function timeOf(file: string): number {
  return Date.parse(file.replace(name, '$1T$2:$3:$4Z'))
}

/** What is in a file or a directory survives a loss of power. */
async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
