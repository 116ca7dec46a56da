import type { GetStageResultResponse as StageResult } from '@millrace/protocol'

/** Fetches the result of a pipeline's stage. */
export type FetchStageResult = (pipelineId: string, stage: string) => Promise<StageResult>

/** Bytes kept at most: two lists of the largest size. */
const mostBytes = 32 * 1024 * 1024
/** What each takes beside its bytes, about: there are at most 32,768 of them. */
const entryBytes = 1024

/**
 * Results of stages that jobs were given lately; a stage that is done keeps its result. Each item of a stage that runs for each item of
 * another's list is given that list: without this, the worker would fetch it as often as there are items.
 */
export class StageResults {
  readonly #fetch: FetchStageResult
  readonly #results = new Map<string, { readonly result: Promise<StageResult>; bytes: number }>()
  #bytes = 0

  constructor(fetch: FetchStageResult) {
    this.#fetch = fetch
  }

  /** The result of a stage: one that is being fetched is not fetched a second time. */
  get(pipelineId: string, stage: string): Promise<StageResult> {
    const key = `${pipelineId} ${stage}`
    const known = this.#results.get(key)
    if (known) {
      // The order is that of use.
      this.#results.delete(key)
      this.#results.set(key, known)
      return known.result
    }
    const result = this.#fetch(pipelineId, stage)
    this.#results.set(key, { result, bytes: 0 })
    result.then(
      ({ result }) => this.#keep(key, entryBytes + result.length),
      () => this.#results.delete(key),
    )
    return result
  }

  #keep(key: string, bytes: number): void {
    this.#results.get(key)!.bytes = bytes
    this.#bytes += bytes
    for (const [oldest, { bytes }] of this.#results) {
      if (this.#bytes <= mostBytes) break
      if (bytes === 0) continue // is being fetched
      this.#results.delete(oldest)
      this.#bytes -= bytes
    }
  }
}
