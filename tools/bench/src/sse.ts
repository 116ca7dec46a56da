import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Millrace } from '@millrace/client'
import type { PhaseResult } from './phases/phase.ts'
import { processUsage } from './process-usage.ts'
import type { Sizes } from './sizes.ts'
import { percentile } from './statistics.ts'
import type { MillraceServer } from './systems/millrace-server.ts'
import { measureAgainst } from './window.ts'

/** Connections opened at once. */
const opening = 100
/** Milliseconds between two updates: long enough that each finds the readers idle. */
const pause = 250

/** A page that follows a task: a plain socket, so that what is measured is the server. */
class Subscriber {
  readonly socket: Socket
  #seen = 0
  #waiting: { readonly progress: number; readonly seen: (at: number) => void } | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1').on('data', (text: string) => {
      for (const [, progress] of text.matchAll(/"progress":(\d+)/g)) this.#seen = Math.max(this.#seen, Number(progress))
      if (!this.#waiting || this.#seen < this.#waiting.progress) return
      this.#waiting.seen(performance.now())
      this.#waiting = undefined
    })
  }

  /** When the task's progress came. */
  sees(progress: number): Promise<number> {
    return new Promise((seen) => {
      this.#waiting = { progress, seen }
    })
  }
}

/**
 * Many readers of one task's events over HTTP: what one costs the server in memory, and how long a handler's
 * `ctx.progress` takes to reach all of them.
 */
export async function sse(server: MillraceServer, sizes: Sizes): Promise<PhaseResult> {
  await using mr = new Millrace(server.address)
  const started = Promise.withResolvers<(percent: number) => void>()
  const ended = Promise.withResolvers<void>()
  const worker = mr.worker({
    tasks: {
      async show(_payload, ctx) {
        started.resolve((percent) => void ctx.progress(percent))
        await ended.promise
      },
    },
  })
  await worker.start()
  const task = await mr.tasks.submit({ function: 'show', payload: null })
  const progress = await started.promise
  await sleep(2000)
  const before = processUsage(server.pid).rss

  const [host = '', port = ''] = server.http.split(':')
  const request = `GET /v1/tasks/${task.taskId}/events HTTP/1.1\r\nhost: ${server.http}\r\nx-api-key: ${server.address.apiKey}\r\n\r\n`
  const subscribers: Subscriber[] = []
  while (subscribers.length < sizes.subscribers) {
    const count = Math.min(opening, sizes.subscribers - subscribers.length)
    const sockets = Array.from({ length: count }, () => connect(Number(port), host))
    const opened = sockets.map(async (socket) => {
      await once(socket, 'connect')
      const subscriber = new Subscriber(socket)
      socket.write(request)
      return subscriber
    })
    subscribers.push(...(await Promise.all(opened)))
  }
  const tell = async (percent: number): Promise<number[]> => {
    const all = subscribers.map((subscriber) => subscriber.sees(percent))
    const start = performance.now()
    progress(percent)
    return (await Promise.all(all)).map((at) => at - start)
  }
  // Everybody is there once the first update has reached everybody.
  await tell(1)
  await sleep(2000)
  const after = processUsage(server.pid).rss

  const measure = measureAgainst({ servers: [server.pid] }, undefined)
  const { delays, window } = await measure(async () => {
    const rounds: number[][] = []
    for (let percent = 2; percent < sizes.updates + 2; percent++) {
      rounds.push(await tell(percent))
      await sleep(pause)
    }
    return { delays: rounds }
  })
  for (const { socket } of subscribers) socket.destroy()
  ended.resolve()
  await worker.stop()
  const every = delays.flat()
  const last = delays.map((round) => Math.max(...round))
  return {
    figures: [
      { name: 'sse-memory', value: (after - before) / sizes.subscribers },
      { name: 'sse-p50', value: percentile(every, 0.5) },
      { name: 'sse-p99', value: percentile(every, 0.99) },
      { name: 'sse-last', value: percentile(last, 0.5) },
    ],
    window,
    problems: [],
  }
}
