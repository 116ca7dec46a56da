import type { MillraceError, PipelineInfo, PipelineStatus, StageInfo } from '@millrace/core'
import { type LivePipeline, observePipeline } from '@millrace/core/live'
import { useMemo } from 'react'
import { useMillrace } from './provider.ts'
import { type LiveData, suspend, useObserver } from './use-observer.ts'

/** A pipeline as it stands. */
export interface UsePipeline extends LiveData {
  /** The pipeline; undefined before the first value. */
  readonly pipeline: PipelineInfo | undefined
  /** Where it is in its life; undefined before the first value. */
  readonly status: PipelineStatus | undefined
  /** Its stages, in the order in which they were added. */
  readonly stages: readonly StageInfo[]
  /** Results of completed stages by their names; those over 64 KiB are left out: `pipelines.result` of a client gives them. */
  readonly results: Readonly<Record<string, unknown>>
}

/**
 * Shows a pipeline and its stages live to its end.
 *
 * @param pipelineId - the pipeline; nothing is shown while it is undefined or null.
 */
export function usePipeline(pipelineId: string | undefined | null): UsePipeline {
  const client = useMillrace()
  const observer = useMemo(() => (pipelineId ? observePipeline(client, pipelineId) : undefined), [client, pipelineId])
  return useObserver(observer, shape)
}

/** As {@link usePipeline}, but suspends until the pipeline is known, and throws to the nearest error boundary when it cannot be. */
export function useSuspensePipeline(
  pipelineId: string,
): UsePipeline & { readonly pipeline: PipelineInfo; readonly status: PipelineStatus } {
  const client = useMillrace()
  const observer = useMemo(() => observePipeline(client, pipelineId), [client, pipelineId])
  suspend(observer)
  const live = useObserver(observer, shape)
  return live as typeof live & { pipeline: PipelineInfo; status: PipelineStatus }
}

const noStages: readonly never[] = []
const noResults = {}

function shape(data: LivePipeline | undefined, error: MillraceError | undefined) {
  const pipeline = data?.pipeline
  return { pipeline, status: pipeline?.status, stages: pipeline?.stages ?? noStages, results: data?.results ?? noResults, error }
}
