import { expect, test } from 'vitest'
import { createList } from './page.ts'
import { collect } from './testing/setup.ts'

function listOf(pages: Record<string, { items: number[]; nextCursor: string }>, cursor?: string) {
  const asked: string[] = []
  const list = createList(async (from) => {
    asked.push(from)
    return pages[from]!
  }, cursor)
  return { list, asked }
}

const pages = {
  '': { items: [1, 2], nextCursor: 'b' },
  b: { items: [], nextCursor: 'c' },
  c: { items: [3], nextCursor: '' },
}

test('nothing is asked before it is used', () => {
  expect(listOf(pages).asked).toEqual([])
})

test('awaited, it is the first page, which goes on', async () => {
  const { list, asked } = listOf(pages)
  const page = await list
  expect(page).toMatchObject({ items: [1, 2], nextCursor: 'b' })
  expect(asked).toEqual([''])
  expect(await collect(page)).toEqual([1, 2, 3])
})

test('iterated, it walks everything, empty pages too', async () => {
  expect(await collect(listOf(pages).list)).toEqual([1, 2, 3])
})

test('it begins at a cursor, and the last page says so', async () => {
  const { list } = listOf(pages, 'c')
  expect(await list).toMatchObject({ items: [3], nextCursor: undefined })
})

test('an iteration that stops asks no further', async () => {
  const { list, asked } = listOf(pages)
  for await (const item of list) if (item === 2) break
  expect(asked).toEqual([''])
})

test('a failure rejects, awaited or iterated', async () => {
  const failing = createList(() => Promise.reject(new Error('no')))
  await expect(failing).rejects.toThrow('no')
  await expect(collect(failing)).rejects.toThrow('no')
})
