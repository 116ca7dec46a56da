import { type Duration, Millrace, type MillraceOptions } from '@millrace/client'
import { toMs } from '@millrace/core/adapter'
import { type RunningServer, type ServerSettings, startServer } from '@millrace/server'
import { TestClock } from './clock.ts'
import { type Fake, FakeWorker } from './fake-worker.ts'

/** How a test server is started. */
export interface TestServerOptions {
  /** What its clock shows at first. Default: now. */
  readonly startAt?: Date
  /** Settings of the server that shall differ. By default it keeps everything in memory and listens on free ports of loopback. */
  readonly settings?: ServerSettings
}

const namespaceOf = (options: MillraceOptions) => options.namespace ?? 'default'

/** A whole server in this process, and a clock that moves it. Made by {@link startTestServer}. */
export class TestServer implements AsyncDisposable {
  /** The server's time. */
  readonly clock: TestClock
  /** Where it listens, for clients of your own. */
  readonly endpoint: string
  /** An administrator's key. */
  readonly key: string
  readonly #server: RunningServer
  readonly #clients = new Set<Millrace>()
  /** One client for each namespace in use, to look at its queues. */
  readonly #observers = new Map<string, Millrace>()

  /** @internal Use {@link startTestServer}. */
  constructor(server: RunningServer, clock: TestClock) {
    this.#server = server
    this.clock = clock
    this.endpoint = server.grpc
    this.key = server.key!
  }

  /** A client of this server. It is closed with the server. */
  client(options: MillraceOptions = {}): Millrace {
    const mr = this.#connect(options)
    const namespace = namespaceOf(options)
    if (!this.#observers.has(namespace)) this.#observers.set(namespace, this.#connect({ namespace }))
    return mr
  }

  /**
   * Starts a worker whose functions do what you say: return a value, call a function of yours, or throw an error.
   *
   * @param fakes - by the name of the function.
   * @param options - `namespace` and `queue` of its tasks.
   */
  async fake(
    fakes: Readonly<Record<string, Fake>>,
    options: { readonly namespace?: string; readonly queue?: string } = {},
  ): Promise<FakeWorker> {
    const worker = new FakeWorker(this.client({ namespace: options.namespace }), fakes, options.queue)
    await worker.start()
    return worker
  }

  /** Resolves when no job runs and none can start at the present time. Jobs that nobody takes may wait. */
  async idle(): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      await this.clock.settled()
      const { processing } = await this.#count()
      quiet = processing === 0 ? quiet + 1 : 0
    }
  }

  /**
   * Moves the clock until no job runs, waits for its time, for its retry or for a limit on starts: from one to the next.
   *
   * @param options - `within`: the farthest to go. Default 30 days.
   * @throws Error when jobs still wait for a time beyond that.
   */
  async runUntilIdle({ within = '30d' }: { readonly within?: Duration } = {}): Promise<void> {
    const end = new Date(this.clock.now() + toMs('within', within))
    for (;;) {
      await this.idle()
      const { scheduled, blocked } = await this.#count()
      // Blocked ones may wait for nothing that time brings.
      const due = scheduled === 0 && blocked > 0 ? await this.#server.nextDueAt() : undefined
      if (scheduled === 0 && (due === undefined || due > end.getTime())) return
      let step = await this.clock.step(end)
      while (step === 'routine') step = await this.clock.step(end)
      if (step === 'nothing') throw new Error(`${scheduled} jobs wait for a time later than ${end.toISOString()}.`)
    }
  }

  /** Ends its clients and workers, then the server. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close()))
    await this.#server.stop()
  }

  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #connect(options: MillraceOptions): Millrace {
    const mr = new Millrace({ endpoint: this.endpoint, apiKey: this.key, ...options })
    this.#clients.add(mr)
    return mr
  }

  async #count(): Promise<{ processing: number; scheduled: number; blocked: number }> {
    let processing = 0
    let scheduled = 0
    let blocked = 0
    for (const mr of this.#observers.values()) {
      for await (const { name } of mr.queues.list()) {
        const stats = await mr.queue(name).stats()
        processing += stats.processing
        scheduled += stats.scheduled
        blocked += stats.blocked
      }
    }
    return { processing, scheduled, blocked }
  }
}

/**
 * Starts a server in this process: the real one, on a store in memory.
 *
 * @example
 * ```ts
 * await using server = await startTestServer()
 * const mail = await server.fake({ send_email: { sent: true } })
 * const task = await server.client().tasks.submit({ function: 'send_email', payload: { to: 'ada' }, delay: '1d' })
 * await server.clock.advance('1d')
 * await task.wait()
 * console.log(mail.calls[0]?.payload) // { to: 'ada' }
 * ```
 */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const clock = new TestClock(options.startAt)
  const settings: ServerSettings = { store: 'sqlite::memory:', grpc: '127.0.0.1:0', dev: true, logLevel: 'warn', ...options.settings }
  return new TestServer(await startServer(settings, { clock }), clock)
}
