import pg from 'pg'
import { MillraceError } from '../../../errors.ts'
import { keepRowsRaw } from './raw-rows.ts'

/** Milliseconds after which a connection that nobody used is closed. */
const idleMs = 30_000
/** Longest wait for a connection. */
const waitMs = 10_000

/** How to make the connections of one role. */
export interface Account {
  /** Tells it from others. */
  readonly name: string
  /** What to connect with. */
  config(): pg.ClientConfig
}

/** Connections of many roles, of which there are at most so many together: one that is idle makes room for another role's. */
export class AccountPool {
  readonly #most: number
  readonly #idle: { readonly name: string; readonly client: pg.Client; readonly timer: NodeJS.Timeout }[] = []
  readonly #waiting: (() => void)[] = []
  /** What broke while it was lent: often its last answer came with the news. */
  readonly #lost = new WeakSet<pg.Client>()
  #open = 0
  #closed = false

  /** @param most - connections at a time. */
  constructor(most: number) {
    this.#most = most
  }

  /**
   * A connection of the account, to be given back.
   *
   * @throws what the driver throws when it cannot connect, UNAVAILABLE when all connections are in use for too long.
   */
  async take({ name, config }: Account): Promise<pg.Client> {
    for (;;) {
      if (this.#closed) throw new MillraceError('UNAVAILABLE', 'The server is stopping. Connect again.')
      const known = this.#idle.findLastIndex((each) => each.name === name)
      if (known >= 0) return this.#unpark(known)
      if (this.#open < this.#most) return this.#connect(config())
      if (this.#idle.length > 0) this.#end(this.#unpark(0))
      else await this.#wait()
    }
  }

  /** Takes a connection back; a broken one is closed. */
  give(name: string, client: pg.Client, broken: boolean): void {
    if (broken || this.#closed || this.#lost.has(client)) this.#end(client)
    else {
      const timer = setTimeout(() => {
        const index = this.#idle.findIndex((each) => each.client === client)
        if (index >= 0) this.#end(this.#unpark(index))
      }, idleMs)
      timer.unref()
      this.#idle.push({ name, client, timer })
      this.#waiting.shift()?.()
    }
  }

  /** Closes all that are idle; the others are closed when they come back. */
  close(): void {
    this.#closed = true
    while (this.#idle.length > 0) this.#end(this.#unpark(0))
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #unpark(index: number): pg.Client {
    const [{ client, timer } = undefined!] = this.#idle.splice(index, 1)
    clearTimeout(timer)
    return client!
  }

  async #connect(config: pg.ClientConfig): Promise<pg.Client> {
    this.#open++
    const client = new pg.Client(config)
    keepRowsRaw(client)
    client.on('error', () => {
      this.#lost.add(client)
      const index = this.#idle.findIndex((each) => each.client === client)
      if (index >= 0) this.#end(this.#unpark(index))
    })
    try {
      await client.connect()
      return client
    } catch (error) {
      this.#end(client)
      throw error
    }
  }

  #end(client: pg.Client): void {
    this.#open--
    client.end().catch(() => undefined)
    this.#waiting.shift()?.()
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(wake), 1)
        reject(new MillraceError('UNAVAILABLE', 'All connections to the tables are in use. Try again.', { retryAfterMs: 1000 }))
      }, waitMs)
      const wake = () => {
        clearTimeout(timer)
        resolve()
      }
      this.#waiting.push(wake)
    })
  }
}
