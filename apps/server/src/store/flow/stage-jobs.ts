import type { EnqueueResult, NewJob, NewPipeline, Seq } from '../ports.ts'

/** The jobs of a new pipeline: one for each stage without a list, and the way from what became of them to the stages. */
export function stageJobs({ stages }: NewPipeline): {
  readonly jobs: readonly NewJob[]
  seqsOf(result: EnqueueResult): readonly (Seq | undefined)[]
} {
  const plain = stages.flatMap((stage, position) => (stage.forEach === undefined ? [{ ...stage, position }] : []))
  const jobs = plain.map(
    ({ task, payload, dependsOn, position }): NewJob => ({
      ...task,
      payload: payload.data,
      contentType: payload.contentType,
      headers: {},
      idempotencyKey: '',
      stage: { stage: position, blocked: dependsOn.length > 0 },
    }),
  )
  return {
    jobs,
    seqsOf({ outcomes }) {
      const seqs: (Seq | undefined)[] = stages.map(() => undefined)
      plain.forEach(({ position }, i) => {
        const outcome = outcomes[i]!
        if ('seq' in outcome) seqs[position] = outcome.seq
      })
      return seqs
    },
  }
}
