import { expect, test } from 'vitest'
import { setUp } from '../testing/setup.ts'

test('what would be left out on its way, and then mean something else, is refused', async () => {
  const { transport, mr } = setUp()
  // A limit of 0 travels as none.
  await expect(mr.table('users').select().limit(0).all()).rejects.toMatchObject({ code: 'VALIDATION', fields: [{ path: 'limit' }] })
  const search = { text: 'word', vector: [1], fusion: 'RRF' as never }
  await expect(mr.vectors('documents').hybridSearch(search)).rejects.toMatchObject({ code: 'VALIDATION', fields: [{ path: 'fusion' }] })
  // A comparison that is lost would take more rows.
  const tenant = undefined as never
  const lost = { code: 'VALIDATION', fields: [{ path: 'where.and[0].tenant' }] }
  await expect(mr.table('users').delete({ where: { and: [{ tenant, id: 1 }] } })).rejects.toMatchObject(lost)
  await expect(mr.vectors('documents').deleteWhere({ and: [{ tenant }] })).rejects.toMatchObject(lost)
  await expect(
    mr
      .table('users')
      .select()
      .where({ age: { gt: undefined } }),
  ).rejects.toMatchObject({ fields: [{ path: 'where.age.gt' }] })
  expect(transport.calls).toEqual([])
})
