import pg from 'pg'
import { changesChannel } from '../../../domain/tables/backend.ts'

/** Wait before a connection that broke is made again, in milliseconds. */
const againMs = 1000

/** A connection of its own that listens to changes, made again when it breaks. */
export class ChangeListener {
  readonly #config: pg.ClientConfig
  readonly #onSaid: (said: string | undefined) => void
  #client: pg.Client | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** @param onSaid - called with what was said; undefined after a break. */
  constructor(config: pg.ClientConfig, onSaid: (said: string | undefined) => void) {
    this.#config = config
    this.#onSaid = onSaid
  }

  /** Connects and listens. @throws what the driver throws. */
  async open(): Promise<void> {
    const client = new pg.Client({
      ...this.#config,
      application_name: 'millrace tables changes',
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    })
    let listens = false
    const ended = () => {
      if (!listens || this.#client !== client) return
      this.#client = undefined
      client.end().catch(() => undefined)
      this.#openAgain()
    }
    client.on('error', ended).on('end', ended)
    client.on('notification', ({ payload }) => this.#onSaid(payload ?? ''))
    try {
      await client.connect()
      await client.query(`LISTEN ${changesChannel}`)
    } catch (error) {
      client.end().catch(() => undefined)
      throw error
    }
    listens = true
    this.#client = client
    if (this.#closed) this.close()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    const client = this.#client
    this.#client = undefined
    client?.end().catch(() => undefined)
  }

  #openAgain(): void {
    if (this.#closed) return
    this.#timer = setTimeout(() => {
      this.open().then(
        () => this.#onSaid(undefined),
        () => this.#openAgain(),
      )
    }, againMs)
    this.#timer.unref()
  }
}
