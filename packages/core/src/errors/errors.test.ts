import { type ErrorDetails, type ErrorReason, errorCatalogue } from '@millrace/protocol/errors'
import { decodeErrorDetails, encodeErrorDetails } from '@millrace/protocol/grpc'
import { describe, expect, test } from 'vitest'
import {
  AbortError,
  AuthenticationError,
  CircuitOpenError,
  ConflictError,
  InternalError,
  JobNotFoundError,
  MillraceError,
  NotFoundError,
  PermissionDeniedError,
  QuotaExceededError,
  RateLimitError,
  TaskFailedError,
  TaskNotFoundError,
  TaskTimeoutError,
  TimeoutError,
  UnavailableError,
  ValidationError,
} from './errors.ts'
import { errorFrom, errorFromDetails, errorFromItem } from './to-error.ts'

/** Each row of the catalogue: what travels beside the message, the class it becomes, and the fields that class shows. */
const rows: Record<ErrorReason, { details: Partial<ErrorDetails>; type: new (...args: never) => MillraceError; shows: object }> = {
  VALIDATION: {
    details: { fields: [{ path: 'tasks[2].priority', message: 'is not between -100 and 100.' }] },
    type: ValidationError,
    shows: { name: 'ValidationError', fields: [{ path: 'tasks[2].priority', message: 'is not between -100 and 100.' }] },
  },
  UNAUTHENTICATED: { details: {}, type: AuthenticationError, shows: { name: 'AuthenticationError' } },
  TOKEN_EXPIRED: { details: {}, type: AuthenticationError, shows: { name: 'AuthenticationError' } },
  PERMISSION_DENIED: {
    details: { requiredScope: 'tasks:write' },
    type: PermissionDeniedError,
    shows: { name: 'PermissionDeniedError', requiredScope: 'tasks:write' },
  },
  NOT_FOUND: {
    details: { resource: 'key', id: 'key_1' },
    type: NotFoundError,
    shows: { name: 'NotFoundError', resource: 'key', id: 'key_1' },
  },
  CONFLICT: { details: {}, type: ConflictError, shows: { name: 'ConflictError' } },
  ALREADY_EXISTS: { details: {}, type: ConflictError, shows: { name: 'ConflictError' } },
  FAILED_PRECONDITION: { details: {}, type: ConflictError, shows: { name: 'ConflictError' } },
  RATE_LIMITED: {
    details: { retryAfterMs: 1500 },
    type: RateLimitError,
    shows: { name: 'RateLimitError', retryAfter: 1.5 },
  },
  QUOTA_EXCEEDED: {
    details: { quota: { type: 'queue.depth', current: 1000, limit: 1000 }, retryAfterMs: 20 },
    type: QuotaExceededError,
    shows: { name: 'QuotaExceededError', quotaType: 'queue.depth', current: 1000, limit: 1000 },
  },
  DEADLINE_EXCEEDED: { details: {}, type: TimeoutError, shows: { name: 'TimeoutError' } },
  UNAVAILABLE: { details: { retryAfterMs: 250 }, type: UnavailableError, shows: { name: 'UnavailableError' } },
  INTERNAL: { details: {}, type: InternalError, shows: { name: 'InternalError' } },
}

describe.each(Object.entries(rows))('%s', (reason, { details, type, shows }) => {
  test('comes over gRPC as its class, with its fields', () => {
    const row = errorCatalogue[reason as ErrorReason]
    const sent: ErrorDetails = { reason: reason as ErrorReason, message: 'What was wrong.', requestId: 'req-7', ...details }
    const error = errorFromDetails(decodeErrorDetails(row.grpc, 'What was wrong.', encodeErrorDetails(sent)))
    expect(error).toBeInstanceOf(type)
    expect(error).toBeInstanceOf(MillraceError)
    expect(error).toMatchObject({ ...shows, code: reason, statusCode: row.http, message: 'What was wrong.', requestId: 'req-7', details })
  })

  test('comes as an item of a batch as its class', () => {
    const error = errorFromItem({ reason, message: 'Refused.', fields: [], retryAfterMs: 0, quota: undefined, resource: '', id: '' })
    expect(error).toBeInstanceOf(type)
    expect(error).toMatchObject({ code: reason, message: 'Refused.' })
    expect(error.details.retryAfterMs).toBeUndefined()
  })
})

test('a task or job that is not found has a class of its own', () => {
  expect(errorFromDetails({ reason: 'NOT_FOUND', message: '', resource: 'task', id: 'task_1' })).toBeInstanceOf(TaskNotFoundError)
  expect(errorFromDetails({ reason: 'NOT_FOUND', message: '', resource: 'job', id: 'job_1' })).toBeInstanceOf(JobNotFoundError)
})

test('an item does not speak of its place in a batch that its caller knows nothing of', () => {
  const fields = [{ path: 'jobs[17].priority', message: 'is too high' }]
  const item = {
    reason: 'VALIDATION',
    message: 'jobs[17].priority: is too high',
    fields,
    retryAfterMs: 0,
    quota: undefined,
    resource: '',
    id: '',
  }
  expect(errorFromItem(item)).toMatchObject({ message: 'priority: is too high', fields: [{ path: 'priority', message: 'is too high' }] })
})

test('an item says which limit is reached', () => {
  const quota = { type: 'queue_depth', current: 7, limit: 5 }
  const item = { reason: 'QUOTA_EXCEEDED', message: 'full', fields: [], retryAfterMs: 500, quota, resource: '', id: '' }
  expect(errorFromItem(item)).toMatchObject({ quotaType: 'queue_depth', current: 7, limit: 5, details: { retryAfterMs: 500 } })
})

test('an item with a reason of a later version is an internal error', () => {
  expect(
    errorFromItem({ reason: 'TOO_BLUE', message: 'm', fields: [], retryAfterMs: 5, quota: undefined, resource: '', id: '' }),
  ).toBeInstanceOf(InternalError)
})

test('whatever is thrown becomes an error', () => {
  const error = new ConflictError({ reason: 'CONFLICT', message: 'm' })
  expect(errorFrom(error)).toBe(error)
  expect(errorFrom(new DOMException('gone', 'AbortError'))).toBeInstanceOf(AbortError)
  const cause = new RangeError('too far')
  expect(errorFrom(cause)).toMatchObject({ name: 'InternalError', message: 'too far', cause })
  expect(errorFrom('text')).toMatchObject({ name: 'InternalError', message: 'text' })
})

test("errors of the client's own", () => {
  expect(new AbortError('why')).toMatchObject({ name: 'AbortError', code: 'ABORTED', cause: 'why' })
  expect(new CircuitOpenError(20)).toMatchObject({ name: 'CircuitOpenError', code: 'CIRCUIT_OPEN', statusCode: 503 })
  expect(new TaskTimeoutError('task_1', 500)).toMatchObject({ name: 'TaskTimeoutError', taskId: 'task_1', timeout: 500 })
  expect(new TaskFailedError('task_1', 'failed', 'no disk')).toMatchObject({
    name: 'TaskFailedError',
    taskId: 'task_1',
    status: 'failed',
    message: "Task 'task_1' failed: no disk",
  })
})
