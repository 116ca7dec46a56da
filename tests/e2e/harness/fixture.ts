import { type Logger, Millrace, type MillraceOptions, type Worker } from '@millrace/client'
import { afterAll, afterEach, beforeAll, onTestFinished } from 'vitest'
import { type RawClient, type RawOptions, rawClient, type ServiceName } from '../raw/raw.ts'
import { type ServerOptions, type ServerProcess, startServer } from './server.ts'

/** Servers are killed here all the time; what clients say to that is not news. */
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

let names = 0

/** A name that no other test of this process uses. */
export function freshName(prefix = 'ns'): string {
  return `${prefix}-${process.pid}-${++names}`
}

/** One server for all tests of a file, and clients of it that close with their test. */
export interface Fixture {
  readonly server: ServerProcess
  /** A client in a namespace of its own, unless the options say otherwise. */
  client(options?: Partial<MillraceOptions>): Millrace
  /** A client without the SDK. */
  raw(service: ServiceName, options?: Partial<RawOptions>): RawClient
}

/** Starts the server before the tests of this file, and ends it after them. */
export function useServer(options: ServerOptions = {}): Fixture {
  let server: ServerProcess | undefined
  beforeAll(async () => {
    server = await startServer(options)
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
  })
  let logged = 0
  afterEach(({ task }) => {
    if (!server) return
    if (task.result?.state === 'fail') console.log(`The server's log during '${task.name}':\n${server.log.slice(logged)}`)
    logged = server.log.length
  })
  return {
    get server() {
      if (!server) throw new Error('The server starts with the first test.')
      return server
    },
    client(clientOptions = {}) {
      return clientOf(this.server, clientOptions)
    },
    raw(service, rawOptions = {}) {
      const { endpoint, key } = this.server
      const client = rawClient(service, { endpoint, key, ...rawOptions })
      onTestFinished(() => client[Symbol.dispose]())
      return client
    },
  }
}

/** A client of a server, closed when the test ends, in a namespace of its own unless the options say otherwise. */
export function clientOf(server: ServerProcess, options: Partial<MillraceOptions> = {}): Millrace {
  const client = new Millrace({ endpoint: server.endpoint, apiKey: server.key, namespace: freshName(), logger: silent, ...options })
  onTestFinished(() => client.close())
  return client
}

/** Starts a worker that ends with its test. */
export async function startWorker(worker: Worker): Promise<Worker> {
  onTestFinished(() => worker.stop({ drain: 0 }))
  await worker.start()
  return worker
}
