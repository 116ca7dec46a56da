import { type Case, failureOf } from '../kit.ts'

export const transactionCases: readonly Case[] = [
  {
    name: 'a transaction writes messages, jobs, keys and commits, and answers in order',
    expected: {
      streams: [[0, 1], [0]],
      jobs: [true, true],
      kv: [{ revision: 1 }, { revision: 2, number: 5 }, { revision: 0, deleted: false }],
      commits: [0],
      read: [{ n: 1 }, { n: 2 }],
      waiting: 2,
      committed: 0,
      value: { theme: 'dark' },
    },
    async run(kit) {
      const mr = kit.client()
      await mr.stream('in').write([{ payload: 1 }])
      let commits: readonly number[] = []
      let result: Awaited<ReturnType<typeof mr.writeTransaction>> | undefined
      for await (const message of mr.stream('in').subscribe({ group: 'g', from: 'earliest' })) {
        result = await mr.writeTransaction({
          streams: [
            { stream: 'out', messages: [{ payload: { n: 1 }, headers: { a: 'b' } }, { payload: { n: 2 } }] },
            { stream: 'other', messages: [{ payload: new Uint8Array([1]) }] },
          ],
          jobs: [
            { queue: 'later', payload: 1, priority: 3 },
            { queue: 'later', payload: 2 },
          ],
          kv: [
            { store: 'settings', key: 'u', value: { theme: 'dark' }, ifAbsent: true },
            { store: 'settings', key: 'n', increment: 5 },
            { store: 'settings', key: 'none', delete: true },
          ],
          commits: [message],
        })
        commits = result.commits
        break
      }
      const { streams, jobs, kv } = result!
      return {
        streams,
        jobs: jobs.map(({ created, jobId }) => created && jobId.startsWith('job_')),
        kv,
        commits,
        read: (await mr.stream('out').read()).map(({ payload }) => payload),
        waiting: (await mr.queue('later').stats()).pending,
        committed: await mr.stream('in').committed('g'),
        value: await mr.kv('settings').get('u'),
      }
    },
  },
  {
    name: 'a transaction of which a part is refused changes nothing and says which part',
    expected: {
      code: 'ALREADY_EXISTS',
      name: 'ConflictError',
      paths: ['kv[1].key'],
      absent: true,
      wrong: { name: 'ValidationError', paths: ['jobs[0].priority'] },
      once: true,
    },
    async run(kit) {
      const mr = kit.client()
      await mr.kv('settings').set('taken', 1)
      const refused = (await failureOf(
        mr.writeTransaction({
          streams: [{ stream: 'refused', messages: [{ payload: 1 }] }],
          kv: [
            { store: 'settings', key: 'new', value: 1 },
            { store: 'settings', key: 'taken', value: 2, ifAbsent: true },
          ],
        }),
      )) as { name: string; code: string; fields: string[] }
      const wrong = (await failureOf(mr.writeTransaction({ jobs: [{ queue: 'q', payload: 1, priority: 101 }] }))) as typeof refused
      const once = async () =>
        (await mr.writeTransaction({ kv: [{ store: 'settings', key: 'once', value: 1 }] }, { idempotencyKey: 'again' })).kv[0]
      const [first, second] = [await once(), await once()]
      return {
        code: refused.code,
        name: refused.name,
        paths: refused.fields,
        absent: !(await mr.kv('settings').exists('new')),
        wrong: { name: wrong.name, paths: wrong.fields },
        once: first!.revision === second!.revision,
      }
    },
  },
]
