import type { JobState, PipelineEvent } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { QuotaExceededError } from '../errors/errors.ts'
import { json, setUp } from '../testing/setup.ts'

function event(number: number, stage: string, state: JobState, omitted = false): { event: PipelineEvent } {
  const data = { result: new Uint8Array(), resultContentType: '', resultOmitted: omitted }
  return { event: { number, stage, state, timestamp: new Date(0), error: undefined, terminal: stage === '', ...data } }
}

/** A pipeline with a stage whose result does not come along, and one whose results are too large for one answer. */
function setUpPipeline() {
  const { mr, transport } = setUp()
  const asked: string[] = []
  const pipeline = { pipelineId: 'pipe_1', name: 'p', onFailure: 1, stageCount: 2, reason: '', stages: [] } as const
  const times = { createdAt: new Date(0), finishedAt: undefined, deadline: undefined }
  let ended = false
  transport.on('PipelineService/GetPipeline', () => {
    return { pipeline: { ...pipeline, ...times, stages: [], state: ended ? 5 : 4, stagesLeft: ended ? 0 : 2 } }
  })
  transport.on('PipelineService/GetStageResult', ({ stage }) => {
    asked.push(stage)
    if (stage === 'large') return { result: json('much'), contentType: '' }
    const quota = { type: 'stage_result', current: 20, limit: 16 }
    throw new QuotaExceededError({ reason: 'QUOTA_EXCEEDED', message: 'The results have 20 bytes; 16 is the most.', quota })
  })
  transport.onStream('PipelineService/WatchPipeline', async function* ({ afterEvent }) {
    const events = [event(1, 'large', 5, true), event(2, 'larger', 5, true), event(3, '', 5)]
    ended = true
    yield* events.slice(afterEvent)
  })
  return { run: mr.pipelines.run('pipe_1'), asked }
}

test('a list that is too large for one answer is left out of what is told, which goes on', async () => {
  const { run, asked } = setUpPipeline()
  const told: unknown[] = []
  for await (const { number, stage, result } of run.monitor()) told.push([number, stage, result])
  expect(told).toEqual([
    [1, 'large', 'much'],
    [2, 'larger', undefined],
    [3, undefined, undefined],
  ])
  expect(asked).toEqual(['large', 'larger'])
  await expect(run.result('larger')).rejects.toBeInstanceOf(QuotaExceededError)
})

test('whoever waits for the end fetches no results', async () => {
  const { run, asked } = setUpPipeline()
  expect((await run.wait()).status).toBe('completed')
  expect(asked).toEqual([])
})
