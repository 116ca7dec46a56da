import { describe, expect, it } from 'vitest'
import { sqliteStores } from '../sqlite/test-store.ts'
import { brokenDataStores } from './broken-data-stores.ts'
import { broken, brokenStores } from './broken-stores.ts'
import { conformanceCases } from './cases.ts'
import { Harness } from './harness.ts'
import { Matrix } from './matrix.ts'

const cases = Object.values(conformanceCases).flat()

describe.each([...brokenStores, ...brokenDataStores])('a store that $fault', ({ break: fault, caughtBy }) => {
  it.each(caughtBy)('does not pass: %s', { timeout: 60_000 }, async (name) => {
    const found = cases.find((each) => each.name === name)
    let failure: unknown
    // A random history may miss the fault.
    for (let attempt = 0; attempt < 5 && failure === undefined; attempt++) {
      const harness = await Harness.open(broken(sqliteStores, fault))
      try {
        await found!.run(harness)
      } catch (error) {
        failure = error
      } finally {
        await harness.close()
      }
    }
    // A case that compares, not one that stumbles: fast-check says so in words of its own.
    expect(String(failure)).toMatch(/expected|instead of rejecting|Property failed/)
  })
})

describe('the matrix', () => {
  const run = async () => undefined
  it('names what was registered and did not run', () => {
    const matrix = new Matrix(['one', 'two'], {
      life: [
        { name: 'a', run },
        { name: 'b', run },
      ],
    })
    matrix.record('one', 'life', 'a', 'passed')
    matrix.record('one', 'life', 'b', 'failed')
    matrix.record('two', 'life', 'b', 'skipped')
    expect(matrix.unrun()).toEqual(['two life: a'])
    expect(matrix.toString().split('\n')).toEqual([
      'one  two',
      '✓    ?    life: a',
      '✗    –    life: b',
      '✓ passed, ✗ failed, – skipped, ? not run',
    ])
  })

  it('refuses two cases of one name', () => {
    expect(
      () =>
        new Matrix(['one'], {
          life: [
            { name: 'a', run },
            { name: 'a', run },
          ],
        }),
    ).toThrow('two cases')
  })
})
