import { expect, test } from 'vitest'
import { setUp } from '../testing/setup.ts'
import type { CreateScheduleOptions } from './types.ts'

test.each<[unknown]>([[5], ['all'], [{}], [null]])('a rule for missed ticks that says nothing is refused: %o', async (catchUp) => {
  // As JavaScript would. It was taken for none at all.
  const options = { name: 's', every: '1h', function: 'f', catchUp } as CreateScheduleOptions
  await expect(setUp().mr.schedules.create(options)).rejects.toMatchObject({ name: 'ValidationError', fields: [{ path: 'catchUp' }] })
})
