import type { ClientContext } from '../context.ts'
import { invalid } from '../errors/errors.ts'
import type { CallOptions } from '../options.ts'
import { toText } from '../wire.ts'
import type { GroupState } from './types.ts'

/** A group of consumers of a stream. */
export class StreamGroup {
  readonly #context: ClientContext
  readonly #stream: string
  /** Its name. */
  readonly name: string

  /** @internal Use `stream.group(name)`. */
  constructor(context: ClientContext, stream: string, name: string) {
    this.#context = context
    this.#stream = stream
    this.name = toText('group', name)
  }

  /** How far it is in one partition. @throws NotFoundError when there is no such stream. */
  async state(partition = 0, call?: CallOptions): Promise<GroupState> {
    const all = await this.states(call)
    const found = all[partition]
    if (!found) throw invalid('partition', `${partition} is not one of the stream's partitions; they are 0 to ${all.length - 1}.`)
    return found
  }

  /** How far it is in each partition, by their numbers. @throws NotFoundError when there is no such stream. */
  async states(call?: CallOptions): Promise<GroupState[]> {
    const request = { stream: this.#stream, group: this.name }
    const { offsets } = await this.#context.safe('StreamService/GetGroup', request, call)
    return offsets.map(({ committedOffset, latestOffset, lag }) => ({ committedOffset, latestOffset, lag }))
  }
}
