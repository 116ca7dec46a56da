import { MillraceError, type MillraceOptions } from '@millrace/core'
import type { MillraceBase } from '@millrace/core/adapter'

/** Where the cases of one run find their server. Goes into pages as JSON. */
export interface Setup {
  /** The endpoint of the transport under test. */
  readonly endpoint: string
  /** A key that may everything. */
  readonly key: string
  /** A key that may read tasks and nothing else. */
  readonly readOnlyKey: string
  /** A namespace that no other run of the case uses. A worker runs in it; see `functions` in the tests. */
  readonly namespace: string
}

/** What a case works with. */
export interface Kit extends Setup {
  /** A client in the case's namespace, closed after the case. */
  client(options?: MillraceOptions): MillraceBase
}

/** One behaviour that the client has over every transport and wherever it runs. */
export interface Case {
  readonly name: string
  /** What happened, as JSON can hold it. */
  run(kit: Kit): Promise<unknown>
  /** What has to happen. */
  readonly expected: unknown
}

/** Runs a case. Knows nothing of Node, browsers or test runners. */
export async function runCase(one: Case, setup: Setup, create: (options: MillraceOptions) => MillraceBase): Promise<unknown> {
  const clients: MillraceBase[] = []
  const kit: Kit = {
    ...setup,
    client(options = {}) {
      const secret = options.token === undefined ? { apiKey: setup.key } : {}
      const silent = () => undefined
      const logger = { debug: silent, info: silent, warn: silent, error: silent }
      const client = create({ endpoint: setup.endpoint, namespace: setup.namespace, logger, ...secret, ...options })
      clients.push(client)
      return client
    },
  }
  try {
    return JSON.parse(JSON.stringify((await one.run(kit)) ?? null)) as unknown
  } finally {
    await Promise.all(clients.map((client) => client.close()))
  }
}

/** How a call fails: all that programs may act on, and whether the rest is there. */
export async function failureOf(call: PromiseLike<unknown>): Promise<unknown> {
  try {
    return { succeeded: await call }
  } catch (error) {
    if (!(error instanceof MillraceError)) return { foreign: String(error) }
    const { name, code, statusCode, requestId, details } = error
    const { fields, requiredScope, resource, quota } = details
    return {
      name,
      code,
      statusCode,
      ...(requestId !== undefined && { requestId: 'given' }),
      ...(fields?.length && { fields: fields.map(({ path }) => path) }),
      ...(requiredScope && { requiredScope }),
      ...(resource && { resource }),
      ...(quota && { quota }),
    }
  }
}

/** Everything an iterable gives. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Waits. For what the server does by itself and tells nobody. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
