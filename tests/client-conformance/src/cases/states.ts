import { type Case, collect } from '../kit.ts'

export const stateCases: readonly Case[] = [
  {
    name: 'stateful tasks share a state, which is read, listed and deleted',
    expected: {
      results: [6, 8, 11],
      state: { key: 'sum/ü', value: 11, revision: 3, date: true },
      listed: ['sum/ü'],
      none: [],
      deleted: [true, false],
      gone: true,
      anew: 4,
    },
    async run(kit) {
      const { states, tasks } = kit.client()
      const add = (payload: number) => tasks.submit({ function: 'add', payload, type: 'stateful', stateKey: 'sum/ü', initialState: 5 })
      const handles = []
      for (const n of [1, 2, 3]) handles.push(await add(n))
      const ends = await tasks.waitBatch(
        handles.map(({ taskId }) => taskId),
        { timeout: '20s' },
      )
      const { key, value, revision, updatedAt } = (await states.get('sum/ü'))!
      const listed = (await collect(states.list({ prefix: 'sum' }))).map((state) => state.key)
      const none = await collect(states.list({ prefix: 'product' }))
      const deleted = [await states.delete('sum/ü'), await states.delete('sum/ü')]
      const gone = (await states.get('sum/ü')) === undefined
      const { taskId } = await tasks.submit({ function: 'add', payload: 4, stateKey: 'sum/ü' })
      return {
        results: ends.map(({ result }) => result),
        state: { key, value, revision, date: updatedAt instanceof Date },
        listed,
        none,
        deleted,
        gone,
        anew: (await tasks.wait(taskId, { timeout: '20s' })).result,
      }
    },
  },
]
