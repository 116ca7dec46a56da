import { ValidationError } from '@millrace/core'
import { expect, test } from 'vitest'
import { Millrace } from '../millrace.ts'
import type { QueueWorkerOptions } from './types.ts'

test.each<[string, object]>([
  ['handler', { queue: 'q' }],
  ['handler', { tasks: { a: () => 1 }, handler: () => 1 }],
  ['queue', { handler: () => 1 }],
  ['tasks', { tasks: {} }],
  ['tasks.a', { tasks: { a: 1 } }],
  ['concurrency', { queue: 'q', handler: () => 1, concurrency: 0 }],
  ['concurrency', { queue: 'q', handler: () => 1, concurrency: 5001 }],
  ['concurrency', { queue: 'q', handler: () => 1, concurrency: 1.5 }],
  ['lease', { queue: 'q', handler: () => 1, lease: 999 }],
  ['lease', { queue: 'q', handler: () => 1, lease: '13h' }],
])('%s is checked in %j', (path, options) => {
  const mr = new Millrace()
  expect(() => mr.worker(options as QueueWorkerOptions<unknown>)).toThrow(ValidationError)
  expect(() => mr.worker(options as QueueWorkerOptions<unknown>)).toThrow(new RegExp(`^${path}: `))
})

test('payload types reach the handlers', () => {
  const mr = new Millrace()
  const worker = mr.worker({
    tasks: {
      resize: async ({ width }: { width: number }, ctx) => {
        ctx.progress(width)
        return ctx.signal.aborted
      },
      other: (payload) => {
        // @ts-expect-error an undeclared payload is unknown.
        payload.x
      },
    },
    signals: false,
  })
  expect(worker.workerId).toMatch(new RegExp(`-${process.pid}-[0-9a-f]{6}$`))
  mr.worker<{ to: string }>({
    queue: 'emails',
    handler: (job) => {
      const to: string = job.payload.to
      // @ts-expect-error there is no such field.
      job.payload.from
      return to
    },
  })
})
