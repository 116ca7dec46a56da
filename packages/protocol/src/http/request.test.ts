import { expect, it } from 'vitest'
import * as http from '../http.ts'
import { JobState } from '../index.ts'

function request<Req>(route: http.HttpRoute<Req>, json: object): http.HttpRequest {
  return http.toHttpRequest(route, http.fromJson(route[2], json))
}

it('puts names into the path and the rest into the body', () => {
  expect(request(http.completeJob, { queue: 'a/b c', jobId: 'job_1', leaseToken: 'l', result: [1] })).toEqual({
    verb: 'POST',
    path: '/v1/queues/a%2Fb%20c/jobs/job_1:complete',
    body: { leaseToken: 'l', result: [1] },
  })
})

it('writes an empty name as -, and the name - as %2D', () => {
  expect(request(http.getJob, { jobId: 'job_1' }).path).toBe('/v1/queues/-/jobs/job_1')
  expect(request(http.getJob, { queue: '-', jobId: 'job_1' }).path).toBe('/v1/queues/%2D/jobs/job_1')
})

it('writes the number 0 as it is', () => {
  expect(request(http.readMessages, { stream: 's', partition: 0 }).path).toMatch(/^\/v1\/streams\/s\/partitions\/0\b/)
})

it('puts what has no body into the query', () => {
  const states = [JobState.RUNNING, JobState.FAILED]
  const message = { ...http.fromJson(http.ListTasksRequest, { labels: { 'a.b': 'c&d' }, limit: 5 }), states }
  expect(http.toHttpRequest(http.listTasks, message)).toEqual({
    verb: 'GET',
    path: '/v1/tasks?labels.a.b=c%26d&states=running&states=failed&limit=5',
    body: undefined,
  })
})

it('refuses names that URLs do not keep', () => {
  expect(() => request(http.getTask, { taskId: '..' })).toThrow(RangeError)
})
