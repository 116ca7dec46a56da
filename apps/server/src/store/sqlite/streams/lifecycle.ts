import type { StatementSync } from 'node:sqlite'
import type { StreamCreateRequest, StreamState } from '../../stream-port.ts'
import { noStream } from '../../stream-rules.ts'
import { usedUntil } from '../../stream-traits.ts'
import { hasEnded } from '../../trait-port.ts'
import type { Context } from '../context.ts'
import { type PartitionEntry, type Registry, type StreamEntry, stateOf } from './registry.ts'

/** How streams with traits come and go. */
export class Lifecycle {
  readonly #registry: Registry
  readonly #unname: StatementSync

  constructor({ db }: Context, registry: Registry) {
    this.#registry = registry
    this.#unname = db.prepare('UPDATE streams SET name = NULL WHERE tenant = ? AND stream = ?')
  }

  /** Inside a mutation. */
  create({ scope, stream: name, traits, messages, now }: StreamCreateRequest): { created: boolean; state: StreamState } {
    const known = this.#registry.named(scope, name)
    if (known && hasEnded(known.traits, now) && !known.traits.gone) this.remove(known)
    const taken = this.#registry.named(scope, name)
    if (taken) return { created: false, state: stateOf(taken) }
    const source = traits.fork && this.#registry.numbered(traits.fork.source)
    if (traits.fork && (!source || source.name === undefined || source.traits.gone))
      throw noStream(source?.name ?? 'the source of the fork')
    const stream = this.#registry.ensure(scope, name, now)
    this.#registry.describe(stream, traits)
    const partition = stream.partitions[0]!
    if (source) {
      const { inherited } = traits.fork!
      this.#registry.begin(partition, Math.min(source.partitions[0]!.earliest, inherited), inherited)
    }
    if (messages.length > 0) this.#registry.guard(partition)
    for (const message of messages) this.#registry.append(partition, message, now)
    return { created: true, state: stateOf(stream) }
  }

  /** Inside a mutation: deletes a stream, and what was kept for it alone. */
  remove(stream: StreamEntry): void {
    if (this.#registry.hasForks(stream)) {
      this.#registry.describe(stream, { ...stream.traits, gone: true })
      return
    }
    this.#unname.run(stream.tenant, stream.number)
    this.#registry.unname(stream)
    const source = stream.traits.fork && this.#registry.numbered(stream.traits.fork.source)
    if (source?.traits.gone) this.remove(source)
  }

  /** Inside a mutation. */
  use(stream: StreamEntry, now: number): void {
    const expiresAt = usedUntil(stream.traits, now)
    if (expiresAt !== stream.traits.expiresAt) this.#registry.describe(stream, { ...stream.traits, expiresAt })
  }

  /** Streams whose time is over. */
  ended(now: number, limit: number): StreamEntry[] {
    const found: StreamEntry[] = []
    for (const stream of this.#registry.all()) {
      if (found.length === limit) break
      if (stream.name !== undefined && !stream.traits.gone && hasEnded(stream.traits, now)) found.push(stream)
    }
    return found
  }

  /** Whose rows have an offset of a partition: its own, or those of what its stream was forked from; and where these end for it. */
  holder(partition: PartitionEntry, offset: number): { readonly partition: PartitionEntry; readonly end: number } {
    let { stream } = partition
    let end = partition.next
    for (let { fork } = stream.traits; fork && offset < fork.inherited; { fork } = stream.traits) {
      end = Math.min(end, fork.inherited)
      stream = this.#registry.numbered(fork.source)!
    }
    return { partition: stream === partition.stream ? partition : stream.partitions[0]!, end }
  }
}
