import type { JobState, Pipeline, PipelineEvent, Stage } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { NotFoundError } from '../errors/errors.ts'
import { completed, down, running } from '../testing/follow.ts'
import { json, setUp } from '../testing/setup.ts'
import { observePipeline } from './observe-pipeline.ts'

const [pending, blocked, failed] = [2, 3, 6] as const

function stage(name: string, state: JobState): Stage {
  const times = { startedAt: undefined, finishedAt: undefined, error: undefined }
  return { name, state, taskId: 'task_1', function: 'f', dependsOn: [], items: 0, itemsLeft: 0, ...times }
}

function pipeline(state: JobState, ...stages: Stage[]): Pipeline {
  const times = { createdAt: new Date(0), finishedAt: undefined, deadline: undefined }
  const left = stages.filter((each) => each.state < completed).length
  return { pipelineId: 'pipe_1', name: 'p', state, onFailure: 1, stageCount: stages.length, stagesLeft: left, reason: '', stages, ...times }
}

function event(number: number, name: string, state: JobState, result?: unknown): { event: PipelineEvent } {
  const terminal = name === '' && state >= completed
  const data = { result: result === undefined ? new Uint8Array() : json(result), resultContentType: '', resultOmitted: false }
  return { event: { number, stage: name, state, timestamp: new Date(0), error: undefined, terminal, ...data } }
}

/** A pipeline that stands as the test says, and its events: one list for each time that it is watched, which a break ends. */
function setUpPipeline(states: (Pipeline | Error)[], ...openings: { event: PipelineEvent }[][]) {
  const { clock, transport, mr } = setUp()
  let opened = 0
  let asked = 0
  transport.on('PipelineService/GetPipeline', () => {
    const state = states[Math.min(asked++, states.length - 1)]
    if (state instanceof Error) throw state
    return { pipeline: state }
  })
  transport.onStream('PipelineService/WatchPipeline', async function* () {
    yield* openings[opened++] ?? []
    if (opened < openings.length) throw down()
    await new Promise(() => undefined)
  })
  const observer = observePipeline(mr, 'pipe_1')
  const seen: unknown[] = []
  observer.subscribe(() => {
    const { state, data } = observer.getSnapshot()
    seen.push([state, data?.pipeline.status, data?.pipeline.stages.map(({ status }) => status).join(), data?.results])
  })
  return { clock, transport, observer, seen, asked: () => asked, requests: () => transport.requests('PipelineService/WatchPipeline') }
}

test('a pipeline is seen as it stands and as its stages change, to its end', async () => {
  const states = [
    pipeline(running, stage('a', running), stage('b', blocked)),
    pipeline(running, stage('a', completed), stage('b', running)),
    pipeline(completed, stage('a', completed), stage('b', completed)),
  ]
  const events = [
    event(1, 'a', running),
    event(2, 'a', completed, 7),
    event(3, 'b', running),
    event(4, 'b', completed, 'x'),
    event(5, '', completed),
  ]
  const { clock, seen, asked, observer } = setUpPipeline(states, events)
  await clock.advance(0)
  await clock.advance(0)
  expect(seen.filter((each, i) => JSON.stringify(each) !== JSON.stringify(seen[i - 1]))).toEqual([
    ['loading', undefined, undefined, undefined],
    ['live', 'running', 'running,blocked', {}],
    ['live', 'running', 'completed,running', { a: 7 }],
    ['live', 'completed', 'completed,completed', { a: 7, b: 'x' }],
    ['ended', 'completed', 'completed,completed', { a: 7, b: 'x' }],
  ])
  // What an event says and is known already is not asked for again.
  expect(asked()).toBe(3)
  expect(observer.getSnapshot().error).toBeUndefined()
})

test('one that is run again as it fails is seen to its end', async () => {
  const states = [
    pipeline(running, stage('a', running)),
    pipeline(failed, stage('a', failed)),
    pipeline(running, stage('a', pending)),
    pipeline(completed, stage('a', completed)),
  ]
  // Its first end is not the last event: it had been run again by then.
  const end = event(2, '', failed).event
  const events = [event(1, 'a', failed), { event: { ...end, terminal: false } }, event(3, '', running), event(4, 'a', pending)]
  const { clock, observer } = setUpPipeline(states, [...events, event(5, 'a', completed, 7), event(6, '', completed)])
  await clock.advance(0)
  await clock.advance(0)
  const stages = [{ name: 'a', status: 'completed' }]
  expect(observer.getSnapshot()).toMatchObject({ state: 'ended', data: { pipeline: { status: 'completed', stages }, results: { a: 7 } } })
})

test('of one that has ended, the results come too', async () => {
  const ended = pipeline(completed, stage('a', completed))
  const { clock, observer, asked } = setUpPipeline([ended], [event(1, 'a', running), event(2, 'a', completed, 7), event(3, '', completed)])
  await clock.advance(0)
  expect(observer.getSnapshot()).toMatchObject({ state: 'ended', data: { pipeline: { status: 'completed' }, results: { a: 7 } } })
  expect(asked()).toBe(1)
})

test('after a break it goes on after the last event', async () => {
  const states = [pipeline(running, stage('a', running)), pipeline(completed, stage('a', completed))]
  const { clock, observer, requests } = setUpPipeline(
    states,
    [event(1, 'a', running)],
    [event(2, 'a', completed, 7), event(3, '', completed)],
  )
  await clock.advance(500)
  expect(requests().map(({ afterEvent }) => afterEvent)).toEqual([0, 1])
  expect(observer.getSnapshot()).toMatchObject({ state: 'ended', data: { results: { a: 7 } } })
})

test('one that does not exist is an error', async () => {
  const { clock, observer } = setUpPipeline([new NotFoundError({ reason: 'NOT_FOUND', message: 'no', resource: 'pipeline', id: 'pipe_1' })])
  await clock.advance(0)
  expect(observer.getSnapshot()).toMatchObject({ state: 'error', error: { name: 'NotFoundError' } })
})
