import type { Counter, Histogram, Registry } from 'prom-client'

/** What calls come over. */
type TransportName = 'grpc' | 'http'

/** A call that is over. */
type Ended = readonly [transport: TransportName, method: string, code: string, ms: number | undefined]

/** Something that is asked for when it is shown. */
interface Reading {
  readonly name: string
  readonly help: string
  /** A value, or one for each value of the label `state`. */
  readonly read: () => number | Promise<number> | Promise<Readonly<Record<string, number>>>
}

/** Calls kept until there is something to count them with. */
const mostKept = 10_000

/**
 * Counts what the server does, for Prometheus. No label has a value that callers choose. What counts is loaded after the
 * server is ready: it takes as long as everything else that is loaded together.
 */
export class Metrics {
  readonly #readings: Reading[] = []
  #kept: Ended[] = []
  #loading: Promise<Registry> | undefined
  #count = (call: Ended): void => {
    if (this.#kept.length < mostKept) this.#kept.push(call)
  }

  /**
   * Counts a call that is over.
   *
   * @param method - `TaskService/SubmitTask`: one of the contract.
   * @param code - `OK`, `CANCELLED`, or a reason of the error table.
   * @param ms - how long it took; undefined for a stream, which lasts as long as its reader stays.
   */
  called(...call: Ended): void {
    this.#count(call)
  }

  /**
   * Adds something that is asked for when it is shown. Before {@link Metrics.load}.
   *
   * @param read - the value now, or the values now by `state`.
   */
  gauge(name: string, help: string, read: Reading['read']): void {
    this.#readings.push({ name, help, read })
  }

  /** Begins to count. */
  load(): Promise<Registry> {
    this.#loading ??= this.#load()
    return this.#loading
  }

  /** Everything, as Prometheus reads it. */
  async page(): Promise<{ readonly contentType: string; readonly text: string }> {
    const registry = await this.load()
    return { contentType: registry.contentType, text: await registry.metrics() }
  }

  async #load(): Promise<Registry> {
    const { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } = await import('prom-client')
    const register = new Registry()
    const registers = [register]
    collectDefaultMetrics({ register })
    for (const { name, help, read } of this.#readings) {
      const gauge = new Gauge({
        name,
        help,
        registers,
        labelNames: ['state'],
        async collect() {
          const values = await read()
          if (typeof values === 'number') gauge.set(values)
          else for (const [state, value] of Object.entries(values)) gauge.set({ state }, value)
        },
      })
    }
    const calls = new Counter({
      name: 'millrace_calls_total',
      help: 'Calls that are over, by method, transport and code: OK, CANCELLED, or a reason of the error table.',
      labelNames: ['method', 'transport', 'code'],
      registers,
    })
    const seconds = new Histogram({
      name: 'millrace_call_seconds',
      help: 'How long calls with one answer took.',
      labelNames: ['method', 'transport'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    })
    this.#count = counter(calls, seconds)
    for (const call of this.#kept) this.#count(call)
    this.#kept = []
    return register
  }
}

/** Finds the measures of each method once: looking them up by their labels costs as much as a call should. */
function counter(calls: Counter<'method' | 'transport' | 'code'>, seconds: Histogram<'method' | 'transport'>): (call: Ended) => void {
  const counts = new Map<string, Counter.Internal>()
  const times = new Map<string, Histogram.Internal<'method' | 'transport'>>()
  return ([transport, method, code, ms]) => {
    const key = `${transport} ${method}`
    const counted = `${key} ${code}`
    let count = counts.get(counted)
    if (!count) {
      count = calls.labels({ method, transport, code })
      counts.set(counted, count)
    }
    count.inc()
    if (ms === undefined) return
    let time = times.get(key)
    if (!time) {
      time = seconds.labels({ method, transport })
      times.set(key, time)
    }
    time.observe(ms / 1000)
  }
}
