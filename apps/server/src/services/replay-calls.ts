import { type Replay, ReplayState, type StreamServiceDefinition } from '@millrace/protocol'
import type { StreamEngine } from '../domain/streams/engine.ts'
import type { Filter } from '../domain/streams/filter.ts'
import type { ReplayProgress, ReplayRange, Replays } from '../domain/streams/replays.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { subscribeGroup } from './group-subscription.ts'
import { toDate } from './shapes.ts'

/** The calls of the service of streams that concern replays. */
type ReplayCalls = Pick<
  ServiceOf<typeof StreamServiceDefinition>,
  'createReplay' | 'getReplay' | 'listReplays' | 'updateReplay' | 'deleteReplay' | 'subscribeReplay'
>

const states = { ready: ReplayState.READY, running: ReplayState.RUNNING, paused: ReplayState.PAUSED, stopped: ReplayState.STOPPED } as const
const targets = { [ReplayState.RUNNING]: 'running', [ReplayState.PAUSED]: 'paused', [ReplayState.STOPPED]: 'stopped' } as const

/** Replays of streams. */
export function createReplayCalls(
  streams: StreamEngine,
  replays: Replays,
  readFilter: (text: string) => Promise<Filter | undefined>,
): ReplayCalls {
  return {
    async createReplay({ stream, group, originalSpeed, ...request }, { scope }) {
      const checks = new Checks()
      checkNames(checks, stream, group)
      const from = readPlace(checks, 'from', request.fromOffset, request.fromTime)
      const to = readPlace(checks, 'to', request.toOffset, request.toTime)
      if (typeof from === 'number' && typeof to === 'number' && to <= from) checks.fail('toOffset', 'is not after fromOffset')
      if (typeof from === 'object' && typeof to === 'object' && to.time <= from.time) checks.fail('toTime', 'is not after fromTime')
      checks.done()
      return { replay: toReplay(await replays.create(scope, stream, group, { from, to, originalSpeed })) }
    },

    async getReplay({ stream, group }, { scope }) {
      checked(stream, group)
      return { replay: toReplay(await replays.get(scope, stream, group)) }
    },

    async listReplays({ stream }, { scope }) {
      const checks = new Checks()
      checks.name('stream', stream)
      checks.done()
      return { replays: (await replays.list(scope, stream)).map(toReplay) }
    },

    async updateReplay({ stream, group, state }, { scope }) {
      const checks = new Checks()
      checkNames(checks, stream, group)
      const to = (targets as Readonly<Record<number, (typeof targets)[keyof typeof targets]>>)[state]
      if (!to) checks.fail('state', 'is not one of running, paused and stopped')
      checks.done()
      return { replay: toReplay(await replays.change(scope, stream, group, to!)) }
    },

    async deleteReplay({ stream, group }, { scope }) {
      checked(stream, group)
      return { deleted: await replays.delete(scope, stream, group) }
    },

    async *subscribeReplay({ stream, group, filter }, call) {
      checked(stream, group)
      const compiled = await readFilter(filter)
      // Of one that there is not, nobody becomes a member.
      await replays.find(call.scope, stream, group)
      yield* subscribeGroup(streams, { stream, group, otherwise: 'earliest', filter: compiled, replays }, call)
    },
  }
}

function checkNames(checks: Checks, stream: string, group: string): void {
  checks.name('stream', stream)
  checks.name('group', group)
}

function checked(stream: string, group: string): void {
  const checks = new Checks()
  checkNames(checks, stream, group)
  checks.done()
}

function readPlace(checks: Checks, name: 'from' | 'to', offset: number, time: Date | undefined): ReplayRange['from'] {
  checks.integer(`${name}Offset`, offset, 0, Number.MAX_SAFE_INTEGER)
  if (time === undefined) return offset === 0 ? undefined : offset
  if (offset !== 0) checks.fail(`${name}Time`, `stands beside ${name}Offset; give one of them`)
  return { time: checks.time(`${name}Time`, time) ?? 0 }
}

function toReplay({ group, state, baseAt, ranges, committed, total, processed, createdAt }: ReplayProgress): Replay {
  return {
    group,
    state: states[state],
    originalSpeed: baseAt !== undefined,
    partitions: ranges.map(([fromOffset, toOffset], partition) => {
      return { partition, fromOffset, toOffset, committedOffset: committed[partition]! }
    }),
    total,
    processed,
    createdAt: toDate(createdAt),
  }
}
