import type { PipelineInfo, PipelineStatus, StageInfo } from '@millrace/core'
import { observePipeline } from '@millrace/core/live'
import { type ComputedRef, computed, type MaybeRefOrGetter, toValue } from 'vue'
import { useMillrace } from './plugin.ts'
import { type LiveData, useObserver } from './use-observer.ts'

/** A pipeline as it stands. */
export interface UsePipeline extends LiveData {
  /** The pipeline; undefined before the first value. */
  readonly pipeline: ComputedRef<PipelineInfo | undefined>
  /** Where it is in its life; undefined before the first value. */
  readonly status: ComputedRef<PipelineStatus | undefined>
  /** Its stages, in the order in which they were added. */
  readonly stages: ComputedRef<readonly StageInfo[]>
  /** Results of completed stages by their names; those over 64 KiB are left out: `pipelines.result` of a client gives them. */
  readonly results: ComputedRef<Readonly<Record<string, unknown>>>
}

const noStages: readonly never[] = []
const noResults = {}

/**
 * Shows a pipeline and its stages live to its end.
 *
 * @param pipelineId - the pipeline; nothing is shown while it is undefined or null.
 */
export function usePipeline(pipelineId: MaybeRefOrGetter<string | undefined | null>): UsePipeline {
  const client = useMillrace()
  const { snapshot, ...live } = useObserver(() => {
    const id = toValue(pipelineId)
    return id ? observePipeline(client, id) : undefined
  })
  const pipeline = computed(() => snapshot.value.data?.pipeline)
  return {
    ...live,
    pipeline,
    status: computed(() => pipeline.value?.status),
    stages: computed(() => pipeline.value?.stages ?? noStages),
    results: computed(() => snapshot.value.data?.results ?? noResults),
    error: computed(() => snapshot.value.error),
  }
}
