import type { FollowTasksRequest, TaskUpdate } from '@millrace/protocol'
import { UnavailableError } from '../errors/errors.ts'
import type { MillraceOptions } from '../options.ts'
import type { MemoryDuplex } from './memory-transport.ts'
import { setUp, taskUpdate } from './setup.ts'

/** States as the protocol numbers them. */
export const running = 4
export const completed = 5
export const failed = 6
export const cancelled = 7

/** What a call to a server that is down ends with. */
export const down = () => new UnavailableError({ reason: 'UNAVAILABLE', message: 'The server is down.' })

/** A client and the stream over which it follows. */
export function setUpFollow(options: MillraceOptions = {}) {
  const { clock, transport, mr } = setUp(options)
  const streams = () => transport.duplexes as unknown as MemoryDuplex<'TaskService/FollowTasks'>[]
  return {
    clock,
    transport,
    tasks: mr.tasks,
    mr,
    streams,
    stream: () => streams().at(-1)!,
    say: (...updates: (Partial<TaskUpdate> & Pick<TaskUpdate, 'taskId' | 'state'>)[]) =>
      streams()
        .at(-1)!
        .say({ updates: updates.map(taskUpdate), missing: [] }),
  }
}

/** Ids that were asked for. */
export function added(stream: { readonly sent: readonly FollowTasksRequest[] }, terminalOnly: boolean): string[] {
  return stream.sent.filter((message) => message.terminalOnly === terminalOnly).flatMap((message) => message.add)
}
