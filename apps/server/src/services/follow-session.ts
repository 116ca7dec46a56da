import type { FollowTasksRequest, FollowTasksResponse } from '@millrace/protocol'
import { isTerminal } from '../domain/jobs/followers.ts'
import { parseId } from '../domain/jobs/ids.ts'
import type { Follower } from '../domain/jobs/types.ts'
import { invalid } from '../errors.ts'
import type { Seq } from '../store/ports.ts'
import type { Call } from './call.ts'
import { Checks } from './checks.ts'
import type { ServiceContext } from './context.ts'
import { limits } from './limits.ts'
import { TaskUpdates, toUpdates } from './task-updates.ts'
import { pump, Wakeup } from './wakeup.ts'

/** Ids of one request at most. */
const mostIds = 10_000

/** Ids told missing in one message at most; the client's stream is read no further while more wait. */
const mostMissing = 1000

/** One stream that follows many tasks. */
export class FollowSession {
  readonly #call: Call
  readonly #wakeup = new Wakeup()
  readonly #room = new Wakeup()
  readonly #updates: TaskUpdates
  readonly #follower: Follower
  readonly #followed = new Set<Seq>()
  #missing: string[] = []
  #ended = false
  #failure: { readonly error: unknown } | undefined

  /** @param context - what the services stand on. @param call - the call. */
  constructor({ engine }: ServiceContext, call: Call) {
    this.#call = call
    this.#updates = new TaskUpdates(engine, call.scope)
    this.#follower = engine.follow(call.scope, (records) => {
      this.#updates.put(records)
      this.#wakeup.wake()
    })
  }

  /** Runs the stream to its end: until the client closes its side and every task it follows has ended. */
  async *run(requests: AsyncIterable<FollowTasksRequest>): AsyncGenerator<FollowTasksResponse, void, undefined> {
    void this.#read(requests)
    try {
      yield* pump(() => this.#take(), this.#wakeup, this.#call.signal)
    } finally {
      this.#ended = true
      this.#room.wake()
      this.#follower.close()
    }
  }

  async #read(requests: AsyncIterable<FollowTasksRequest>): Promise<void> {
    try {
      for await (const request of requests) {
        if (this.#ended) return
        this.#remove(request.remove)
        await this.#add(request)
        while (this.#missing.length > mostMissing && !this.#ended) await this.#room.wait()
      }
      this.#ended = true
    } catch (error) {
      this.#failure ??= { error }
    }
    this.#wakeup.wake()
  }

  async #add({ add, terminalOnly }: FollowTasksRequest): Promise<void> {
    const checks = new Checks()
    checks.count('add', add.length, 0, mostIds)
    for (const [i, id] of add.entries()) {
      checks.at('add', i)
      checks.id('', id)
    }
    checks.done()
    if (this.#followed.size + add.length > limits.followed) {
      throw invalid('add', `would follow more than ${limits.followed} tasks over one stream; open another`)
    }
    await Promise.all(
      add.map(async (id) => {
        const seq = parseId('task', id)
        if (seq !== undefined) this.#followed.add(seq)
        if (seq !== undefined && (await this.#follower.add(seq, { terminalOnly }))) return
        if (seq !== undefined) this.#followed.delete(seq)
        this.#missing.push(id)
        this.#wakeup.wake()
      }),
    )
  }

  #remove(ids: readonly string[]): void {
    for (const id of ids) {
      const seq = parseId('task', id)
      if (seq === undefined) continue
      this.#follower.remove(seq)
      this.#followed.delete(seq)
      this.#updates.drop(seq)
    }
  }

  async #take(): Promise<FollowTasksResponse | 'end' | undefined> {
    if (this.#failure) throw this.#failure.error
    const records = (await this.#updates.take()).filter((record) => this.#followed.has(record.seq))
    for (const record of records) if (isTerminal(record.state)) this.#followed.delete(record.seq)
    const missing = this.#missing.splice(0, mostMissing)
    if (missing.length > 0) this.#room.wake()
    if (records.length > 0 || missing.length > 0) return { updates: toUpdates(records), missing }
    return this.#ended && this.#followed.size === 0 ? 'end' : undefined
  }
}
