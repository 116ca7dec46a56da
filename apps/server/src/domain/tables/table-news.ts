import type { TableDatabase } from './backend.ts'
import { readChange } from './changes.ts'

/** What is told of tables. */
export interface TableNews {
  /** Whose they are; undefined: something may have been missed, of any. */
  readonly schema: string | undefined
  /** True: there may be other tables, or other columns. */
  readonly tables: boolean
}

/** Hands what is told at commits to all who want to hear it. */
export class TableNewsroom {
  readonly #database: TableDatabase
  readonly #readers = new Set<(news: TableNews) => void>()
  #listening: Promise<void> | undefined

  constructor(database: TableDatabase) {
    this.#database = database
  }

  /**
   * Listens from now on; what is committed after it resolves is told.
   *
   * @param reader - called at each commit that changed something. The same one is called once.
   * @throws UNAVAILABLE when Postgres cannot be reached.
   */
  async listen(reader: (news: TableNews) => void): Promise<void> {
    this.#readers.add(reader)
    this.#listening ??= this.#database.listen((said) => this.#onSaid(said))
    await this.#listening.catch((error) => {
      this.#listening = undefined
      throw error
    })
  }

  /** Tells a reader nothing more. */
  leave(reader: (news: TableNews) => void): void {
    this.#readers.delete(reader)
  }

  #onSaid(said: string | undefined): void {
    const news = said === undefined ? { schema: undefined, tables: true } : readChange(said)
    for (const reader of this.#readers) reader(news)
  }
}
