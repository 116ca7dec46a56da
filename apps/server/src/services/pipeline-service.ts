import type { PipelineServiceDefinition, WatchPipelineResponse } from '@millrace/protocol'
import { isTerminal } from '../domain/jobs/followers.ts'
import { encodeSeq, formatId, parseId } from '../domain/jobs/ids.ts'
import { requireWhole } from '../domain/keys/limited-scope.ts'
import { MillraceError, notFound } from '../errors.ts'
import {
  type Content,
  JobState,
  type PipelineEvent,
  type PipelineRecord,
  type PipelineStore,
  type Scope,
  type Seq,
} from '../store/ports.ts'
import type { Call, ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import type { ServiceContext } from './context.ts'
import { limits } from './limits.ts'
import { readNewPipeline } from './new-pipelines.ts'
import { readCursor } from './pages.ts'
import { toPipeline, toPipelineEvent } from './shapes.ts'
import { pump, Wakeup } from './wakeup.ts'

/** Results that an event brings along, in bytes. */
const mostEventBytes = 64 * 1024

/** Graphs of tasks. */
export function createPipelineService(
  { engine, clock, payloadLimit }: ServiceContext,
  pipelines: PipelineStore,
): ServiceOf<typeof PipelineServiceDefinition> {
  function seqOf(id: string, checks = new Checks()): Seq {
    checks.id('pipelineId', id)
    checks.done()
    const seq = parseId('pipe', id)
    if (seq === undefined) throw notFound('pipeline', id)
    return seq
  }

  async function find(scope: Scope, id: string): Promise<PipelineRecord> {
    requireWhole(scope, 'read pipelines')
    const pipeline = await pipelines.get(scope, seqOf(id))
    if (!pipeline) throw notFound('pipeline', id)
    return pipeline
  }

  /** A result, unless it is too large to come along. */
  async function smallResult(scope: Scope, seq: Seq, stage: number): Promise<Content | undefined> {
    try {
      const result = await pipelines.result(scope, seq, stage)
      return result && result.data.length <= mostEventBytes ? result : undefined
    } catch (error) {
      if (error instanceof MillraceError && error.reason === 'QUOTA_EXCEEDED') return undefined
      throw error
    }
  }

  async function toEvent(scope: Scope, seq: Seq, event: PipelineEvent, terminal: boolean): Promise<WatchPipelineResponse> {
    const { stage, state } = event
    const completed = stage !== undefined && state === JobState.completed
    return { event: toPipelineEvent(event, terminal, completed ? await smallResult(scope, seq, stage) : undefined) }
  }

  async function* watch(scope: Scope, { seq }: PipelineRecord, after: number, call: Call): AsyncGenerator<WatchPipelineResponse> {
    const wakeup = new Wakeup()
    const stop = engine.wakeOn(seq, () => wakeup.wake())
    let position = after
    let waiting: readonly PipelineEvent[] = []
    let ended = false
    const next = async (): Promise<PipelineEvent | undefined> => {
      if (waiting.length === 0) waiting = await pipelines.events(scope, seq, { limit: limits.page.default, after: position })
      const [event, ...rest] = waiting
      waiting = rest
      return event
    }
    /** Also true of one that was forgotten. Its stages are not looked at: this is asked after each event. */
    const hasEnded = async (): Promise<boolean> => {
      const state = await pipelines.stateOf(scope, seq)
      return state === undefined || isTerminal(state)
    }
    /** Whether nothing follows an event that was taken: a pipeline that was tried again went on after its end. */
    const isLast = async (event: PipelineEvent): Promise<boolean> => {
      if (event.stage !== undefined || !isTerminal(event.state)) return false
      if (!(await hasEnded())) return false
      if (waiting.length === 0) waiting = await pipelines.events(scope, seq, { limit: limits.page.default, after: position })
      return waiting.length === 0
    }
    const take = async (): Promise<WatchPipelineResponse | 'end' | undefined> => {
      if (ended) return 'end'
      let event = await next()
      if (!event) {
        // Whoever has seen the end already is told nothing more; of one that was forgotten meanwhile there is nothing to tell.
        if (!(await hasEnded())) return undefined
        event = await next()
        if (!event) return 'end'
      }
      position = event.number
      ended = await isLast(event)
      return toEvent(scope, seq, event, ended)
    }
    try {
      yield* pump(take, wakeup, call.signal)
    } finally {
      stop()
    }
  }

  return {
    async createPipeline(request, { scope }) {
      requireWhole(scope, 'start pipelines')
      const checks = new Checks()
      checks.text('requestId', request.requestId, limits.requestId)
      const pipeline = readNewPipeline(checks, request, payloadLimit)
      checks.done()
      return { pipelineId: formatId('pipe', await pipelines.create(scope, pipeline, request.requestId, clock.now())) }
    },

    async getPipeline({ pipelineId }, { scope }) {
      return { pipeline: toPipeline(await find(scope, pipelineId)) }
    },

    async listPipelines(request, { scope }) {
      requireWhole(scope, 'read pipelines')
      const checks = new Checks()
      const limit = checks.page('limit', request.limit)
      const before = readCursor(checks, 'cursor', request.cursor)
      const states = checks.states('states', request.states)
      checks.text('name', request.name, limits.text)
      checks.done()
      const filter = { name: request.name || undefined, states: states.length > 0 ? states : undefined }
      const { items, next } = await pipelines.list(scope, filter, { limit, before })
      return { pipelines: items.map(toPipeline), nextCursor: next === undefined ? '' : encodeSeq(next) }
    },

    async getStageResult({ pipelineId, stage }, { scope }) {
      const checks = new Checks()
      checks.id('stage', stage)
      checks.done()
      const pipeline = await find(scope, pipelineId)
      const position = pipeline.stages!.findIndex(({ name }) => name === stage)
      const result = position < 0 ? undefined : await pipelines.result(scope, pipeline.seq, position)
      if (!result) throw notFound('stage result', stage, `in '${pipelineId}'`)
      return { result: result.data, contentType: result.contentType }
    },

    async cancelPipeline({ pipelineId, reason }, { scope }) {
      requireWhole(scope, 'cancel pipelines')
      const checks = new Checks()
      checks.text('reason', reason, limits.reason)
      await pipelines.cancel(scope, seqOf(pipelineId, checks), reason, clock.now())
      return { pipeline: toPipeline(await find(scope, pipelineId)) }
    },

    async retryPipeline({ pipelineId }, { scope }) {
      requireWhole(scope, 'retry pipelines')
      await pipelines.retry(scope, seqOf(pipelineId), clock.now())
      return { pipeline: toPipeline(await find(scope, pipelineId)) }
    },

    async *watchPipeline({ pipelineId, afterEvent }, call) {
      const checks = new Checks()
      checks.integer('afterEvent', afterEvent, 0, Number.MAX_SAFE_INTEGER)
      checks.done()
      yield* watch(call.scope, await find(call.scope, pipelineId), afterEvent, call)
    },
  }
}
