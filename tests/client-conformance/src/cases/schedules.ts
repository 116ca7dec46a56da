import { type Case, collect, failureOf } from '../kit.ts'

export const scheduleCases: readonly Case[] = [
  {
    name: 'schedules are made, read, listed, changed, triggered and deleted; what is wrong is refused',
    expected: {
      made: { name: 'sum/u', every: 3_600_000, overlap: 'skip', stateKey: 'total', teeRequired: false, next: true, paused: false },
      payload: 4,
      listed: [['sum/u', null]],
      changed: { cron: '0 3 * * *', every: null, timezone: 'Europe/Berlin', overlap: 'allow', catchUp: { max: 0 } },
      paused: [true, false],
      result: { status: 'completed', result: 9, stateKey: 'total' },
      history: [{ manual: true, outcome: 'submitted', job: true }],
      wrong: { name: 'ValidationError', code: 'VALIDATION', statusCode: 400, requestId: 'given', fields: ['schedule.cron'] },
      again: { name: 'ConflictError', code: 'ALREADY_EXISTS', statusCode: 409, requestId: 'given', resource: 'schedule' },
      deleted: [true, false],
      missing: { name: 'NotFoundError', code: 'NOT_FOUND', statusCode: 404, requestId: 'given', resource: 'schedule' },
    },
    async run(kit) {
      const { schedules, tasks } = kit.client()
      const name = 'sum/u'
      const options = {
        name,
        every: '1h',
        function: 'add',
        payload: 4,
        stateKey: 'total',
        initialState: 5,
        retry: { maxAttempts: 2 },
      } as const
      const made = await schedules.create(options)
      const { payload } = await schedules.get(name)
      const listed = (await collect(schedules.list())).map((schedule) => [schedule.name, schedule.payload ?? null])
      const changed = await schedules.update(name, { cron: '0 3 * * *', timezone: 'Europe/Berlin', overlap: 'allow', catchUp: 'none' })
      const paused = [(await schedules.pause(name)).paused, (await schedules.resume(name)).paused]
      const { jobId } = await schedules.trigger(name)
      const { status, result } = await tasks.wait(jobId, { timeout: '20s' })
      const history = await schedules.history(name)
      return {
        made: {
          name: made.name,
          every: made.every,
          overlap: made.overlap,
          stateKey: made.stateKey,
          teeRequired: made.teeRequired,
          next: made.nextAt instanceof Date,
          paused: made.paused,
        },
        payload,
        listed,
        changed: {
          cron: changed.cron,
          every: changed.every ?? null,
          timezone: changed.timezone,
          overlap: changed.overlap,
          catchUp: changed.catchUp,
        },
        paused,
        result: { status, result, stateKey: (await tasks.get(jobId)).stateKey },
        history: history.map(({ manual, outcome, jobId: id }) => ({ manual, outcome, job: id === jobId })),
        wrong: await failureOf(schedules.create({ name: 'wrong', function: 'add', cron: '99 * * * *' })),
        again: await failureOf(schedules.create(options)),
        deleted: [await schedules.delete(name), await schedules.delete(name)],
        missing: await failureOf(schedules.get(name)),
      }
    },
  },
]
