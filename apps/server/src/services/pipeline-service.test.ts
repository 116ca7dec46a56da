import { pino } from 'pino'
import { expect, it } from 'vitest'
import { Attestor } from '../domain/attestation/attestor.ts'
import { createJobEngine } from '../domain/jobs/engine.ts'
import { formatId } from '../domain/jobs/ids.ts'
import { defaultRetryPolicy, retryPlanner } from '../domain/jobs/retry.ts'
import { SchemaRegistry } from '../domain/schemas/registry.ts'
import { JobState, type NewStage, type PipelineStore } from '../store/ports.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import type { Call } from './call.ts'
import { createPipelineService } from './pipeline-service.ts'

const day = 86_400_000

it('a pipeline is followed without a look at all its stages at each step', async () => {
  const clock = new ManualClock(0)
  const planning = { planRetry: retryPlanner(() => 0.5), defaultRetry: defaultRetryPolicy, defaultMaxDepth: 100, now: clock.now }
  const store = await openSqliteStore({ path: ':memory:', ...planning })
  const retention = { completedMs: day, failedMs: day, cancelledMs: day, requestsMs: day }
  const engine = createJobEngine({ store, clock, retention, onError: () => undefined })
  const scope = { tenant: await store.keys.tenant('t', 0), namespace: 'default' }
  const looks: string[] = []
  const pipelines = new Proxy(store.pipelines, {
    get(target, name: keyof PipelineStore) {
      looks.push(name)
      return target[name].bind(target)
    },
  })
  const attestor = new Attestor({ acceptSimulated: false, collateral: [], measurements: [], amdRevocationLists: [] }, clock)
  const schemas = new SchemaRegistry({ store: store.schemas, clock })
  const service = createPipelineService(
    { engine, clock, payloadLimit: 1e6, attestor, proofs: store.proofs, schemas, logger: pino({ enabled: false }) },
    pipelines,
  )
  const task = { queue: 'q', function: '', labels: {}, priority: 0, timeoutMs: 0 }
  const payload = { data: new Uint8Array(), contentType: '' }
  const stages = Array.from({ length: 10 }, (_, i): NewStage => ({ name: `s${i}`, task, payload, dependsOn: i === 0 ? [] : [i - 1] }))
  const seq = await store.pipelines.create(scope, { name: 'p', stages, continueOnFailure: false, timeoutMs: 0 }, '', 0)
  const call = { requestId: 'r', scope, signal: new AbortController().signal } as Call
  const events: (string | undefined)[] = []
  const following = (async () => {
    for await (const { event } of service.watchPipeline({ pipelineId: formatId('pipe', seq), afterEvent: 0 }, call)) {
      if (event!.state === JobState.completed) events.push(event!.stage)
    }
  })()
  const demands = () => [{ functions: [''], max: 1, leaseMs: 1000, workerId: 'w' }]
  for (const _ of stages) {
    const [claimed] = await store.jobs.claim({ scope, queue: 'q', demands, now: 0 })
    const action = { type: 'complete', result: new Uint8Array(), contentType: '' } as const
    await engine.settle(
      scope,
      claimed!.map(({ seq, token }) => ({ seq, token, action })),
    )
  }
  await following
  expect(events).toEqual([...stages.map(({ name }) => name), ''])
  expect(looks.filter((name) => name === 'get')).toHaveLength(1)
  await engine.close()
  await store.close()
})
