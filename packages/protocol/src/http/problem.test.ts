import { expect, it } from 'vitest'
import { type ErrorDetails, type ErrorReason, errorCatalogue } from '../errors.ts'
import { fromProblem, toProblem } from './problem.ts'

it.each(Object.keys(errorCatalogue) as ErrorReason[])('%s goes there and back', (reason) => {
  const details: ErrorDetails = {
    reason,
    message: 'm',
    requestId: 'r',
    fields: [{ path: 'p', message: 'm' }],
    requiredScope: 'tasks:read',
    resource: 'task',
    id: 'task_1',
    retryAfterMs: 1500,
    quota: { type: 'queue_depth', current: 1, limit: 1 },
  }
  const problem = toProblem(details)
  expect(problem).toMatchObject({ status: errorCatalogue[reason].http, code: reason, retryAfter: 1.5 })
  expect(fromProblem(problem.status, JSON.parse(JSON.stringify(problem)))).toEqual(details)
})

it.each<[number, ErrorReason]>([
  [401, 'UNAUTHENTICATED'],
  [403, 'PERMISSION_DENIED'],
  [404, 'NOT_FOUND'],
  [413, 'VALIDATION'],
  [429, 'RATE_LIMITED'],
  [500, 'INTERNAL'],
  [502, 'UNAVAILABLE'],
  [504, 'DEADLINE_EXCEEDED'],
])("a proxy's %i is %s", (status, reason) => {
  expect(fromProblem(status, undefined)).toMatchObject({ reason, message: `The answer has the status ${status}.` })
  expect(fromProblem(status, { code: 'constructor', title: 'Bad' })).toMatchObject({ reason, message: 'Bad' })
})
