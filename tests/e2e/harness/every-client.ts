import { simulateEvidence } from '@millrace/attestation'
import { type JobContext, Millrace, type MillraceOptions } from '@millrace/client'
import type { MillraceBase } from '@millrace/core/adapter'
import { Millrace as WebMillrace } from '@millrace/web'
import { onTestFinished } from 'vitest'
import { type Fixture, freshName, startWorker } from './fixture.ts'

/** What the workers here say they run, and who signed it. */
export const simulated = { measurement: 'a1'.repeat(32), signer: 'b2'.repeat(32) }

/** What the workers here do. */
export const functions = {
  default: async (payload: unknown) => ({ echoed: payload }),
  sum: async ({ numbers }: { numbers: number[] }) => numbers.reduce((a, b) => a + b, 0),
  async process_data(payload: unknown, ctx: JobContext) {
    ctx.progress(50, 'half way')
    ctx.log.info('processing', { size: 1 })
    return payload
  },
  async session({ action }: { action: string }, ctx: JobContext<{ counter: number }>) {
    if (action === 'increment') ctx.state.counter += 1
    return ctx.state
  },
  async fail() {
    throw new Error('it went wrong')
  },
  hang: (_payload: unknown, ctx: JobContext) => new Promise((resolve) => ctx.signal.addEventListener('abort', resolve)),
  extract: ({ source }: { source: string }) => ({ rows: [3, 1, 2], source }),
  transform: (_payload: unknown, ctx: JobContext) => (ctx.inputs.extract as { rows: number[] }).rows.toSorted(),
  load: ({ destination }: { destination: string }, ctx: JobContext) => ({ destination, loaded: ctx.inputs.transform }),
}

/** Where a server is. */
interface Endpoints {
  readonly endpoint: string
  readonly http: string
}

/** The kinds of client, for `describe.each`. */
export const clients = [
  {
    name: '@millrace/client, over gRPC',
    endpointOf: ({ endpoint }: Endpoints) => endpoint,
    create: (options: MillraceOptions): MillraceBase => new Millrace(options),
    verifier: undefined, // it finds it by itself
  },
  {
    name: '@millrace/web, over fetch and server-sent events',
    endpointOf: ({ http }: Endpoints) => `http://${http}`,
    create: (options: MillraceOptions): MillraceBase => new WebMillrace(options),
    verifier: () => import('@millrace/attestation'),
  },
] as const

/** How tests get clients of a kind. */
export interface ClientMaker {
  /** A client that closes with its test; in a namespace of its own, unless the options say otherwise. */
  clientOf(options?: MillraceOptions): MillraceBase
  /** Such a client, and a worker in its namespace: over gRPC, as every worker is. */
  withWorker(options?: MillraceOptions): Promise<MillraceBase>
}

/** Makes clients of one kind for the fixture's server, which accepts simulated evidence. */
export function clientMaker(fixture: Fixture, { endpointOf, create }: (typeof clients)[number]): ClientMaker {
  const silent = () => undefined
  const logger = { debug: silent, info: silent, warn: silent, error: silent }
  const clientOf = (options: MillraceOptions = {}) => {
    const { key: apiKey } = fixture.server
    const mr = create({ endpoint: endpointOf(fixture.server), apiKey, namespace: freshName(), logger, ...options })
    onTestFinished(() => mr.close())
    return mr
  }
  return {
    clientOf,
    async withWorker(options = {}) {
      const namespace = freshName()
      const attestation = (reportData: Uint8Array) => simulateEvidence(reportData, simulated)
      await startWorker(fixture.client({ namespace }).worker({ tasks: functions, signals: false, attestation }))
      return clientOf({ namespace, ...options })
    },
  }
}
