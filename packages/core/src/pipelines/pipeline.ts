import type * as wire from '@millrace/protocol'
import { invalid } from '../errors/errors.ts'
import { toNewStage } from './convert.ts'
import type { PipelineRun } from './run.ts'
import type { ExecuteOptions, PipelineStage, StageOptions } from './types.ts'

/** A pipeline to be: add its stages, then execute it, as often as it is needed. Makes no call before. */
export class Pipeline {
  /** Its name, for people and for lists. */
  readonly name: string
  readonly #execute: (stages: wire.NewStage[], options: ExecuteOptions) => Promise<PipelineRun>
  readonly #stages: wire.NewStage[] = []

  /** @internal Use `mr.pipelines.create`. */
  constructor(name: string, execute: (stages: wire.NewStage[], options: ExecuteOptions) => Promise<PipelineRun>) {
    this.name = name
    this.#execute = execute
  }

  /**
   * Adds a stage. A stage may depend on one that is added later.
   *
   * @returns what `dependsOn` and `forEach` of other stages take.
   * @throws ValidationError when its name is used already, or its payload cannot be written as JSON.
   */
  addStage(options: StageOptions): PipelineStage {
    const path = `stages[${this.#stages.length}]`
    const stage = toNewStage(path, options)
    if (this.#stages.some(({ name }) => name === stage.name)) {
      throw invalid(`${path}.name`, `'${stage.name}' is the name of another stage; each needs its own.`)
    }
    this.#stages.push(stage)
    return { name: stage.name }
  }

  /**
   * Starts it: all its stages, in one transaction.
   *
   * @throws ValidationError, with the path of the stage, for a cycle, an unknown dependency or more than 1000 stages; and what any call may throw.
   */
  execute(options: ExecuteOptions = {}): Promise<PipelineRun> {
    return this.#execute([...this.#stages], options)
  }
}
