import { Pipelines } from '@millrace/core/adapter'
import {
  cancelPipeline,
  createPipeline,
  getPipeline,
  getStageResult,
  listPipelines,
  retryPipeline,
  watchPipeline,
} from '@millrace/protocol/http'
import type { Resource } from './resource.ts'

/** `mr.pipelines`: stages that wait for each other. */
export const pipelines: Resource<Pipelines> = {
  routes: [cancelPipeline, createPipeline, getPipeline, getStageResult, listPipelines, retryPipeline, watchPipeline],
  create: (context) => new Pipelines(context),
}
