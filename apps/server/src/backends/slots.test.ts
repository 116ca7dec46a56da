import { expect, it } from 'vitest'
import { Slots } from './slots.ts'

it('so many work at a time, in the order in which they came, also when some fail', async () => {
  const slots = new Slots(3)
  let working = 0
  let most = 0
  const order: number[] = []
  const one = (n: number) =>
    slots.run(async () => {
      order.push(n)
      most = Math.max(most, ++working)
      for (let i = 0; i < n % 4; i++) await Promise.resolve()
      working--
      if (n % 3 === 0) throw new Error(`${n} failed`)
      return n
    })
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => one(n)))
  expect(outcomes.map(({ status }) => status)).toEqual(outcomes.map((_, n) => (n % 3 === 0 ? 'rejected' : 'fulfilled')))
  expect(order).toEqual(order.toSorted((a, b) => a - b))
  expect([most, working]).toEqual([3, 0])
})
