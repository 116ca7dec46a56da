import type { Task, TaskUpdate } from '@millrace/protocol'
import { MillraceBase } from '../millrace-base.ts'
import { compileOptions, type MillraceOptions } from '../options.ts'
import { ManualClock } from './manual-clock.ts'
import { MemoryTransport } from './memory-transport.ts'

/** A client with a moved clock whose server is the test. */
export function setUp(options: MillraceOptions = {}, transportOptions: { readonly duplex?: boolean } = {}) {
  const clock = new ManualClock()
  const transport = new MemoryTransport(clock, transportOptions)
  const silent = () => undefined
  const logger = { debug: silent, info: silent, warn: silent, error: silent }
  const compiled = compileOptions({ logger, ...options }, {}, clock)
  transport.credentials = compiled.credentials
  const mr = new MillraceBase(transport, compiled, clock)
  return { clock, transport, mr }
}

const state = {
  progress: 0,
  message: '',
  result: new Uint8Array(0),
  resultContentType: '',
  error: undefined,
  attempts: 1,
  revision: 1,
}

/** An update as the server sends it. */
export function taskUpdate(update: Partial<TaskUpdate> & Pick<TaskUpdate, 'taskId' | 'state'>): TaskUpdate {
  return { ...state, timestamp: new Date(0), ...update }
}

/** A task as the server sends it. */
export function wireTask(task: Partial<Task> & Pick<Task, 'taskId' | 'state'>): Task {
  return {
    ...state,
    function: 'f',
    queue: 'default',
    priority: 0,
    maxAttempts: 3,
    labels: {},
    createdAt: new Date(0),
    startedAt: undefined,
    finishedAt: undefined,
    runAt: undefined,
    workerId: '',
    batchId: '',
    payload: new Uint8Array(0),
    contentType: '',
    stateKey: '',
    pipelineId: '',
    teeRequired: false,
    waitsFor: '',
    ...task,
  }
}

/** JSON as bytes. */
export function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

/** Everything an iterable gives. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
