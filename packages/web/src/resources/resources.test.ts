import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as resources from './all.ts'

test('every call of the client has a route in a resource, once', () => {
  const core = join(import.meta.dirname, '../../../core/src')
  const files = globSync('**/*.ts', { cwd: core, exclude: ['**/*.test.ts', 'testing/**'] })
  const called = new Set(files.flatMap((file) => readFileSync(join(core, file), 'utf8').match(/(?<=')[A-Z]\w+Service\/\w+(?=')/g) ?? []))
  // What browsers cannot do.
  called.delete('TaskService/FollowTasks')
  // Over HTTP, each is a request of its own.
  for (const method of ['ReadRows', 'WriteRows']) called.delete(`TableService/${method}`)
  // Over HTTP, bytes are bodies.
  for (const method of ['GetObject', 'PutObject', 'PutPart']) called.delete(`ObjectService/${method}`)
  expect(called.size).toBeGreaterThan(30)
  const routed = Object.values(resources).flatMap(({ routes }) => routes.map(([method]) => method))
  expect(routed.sort()).toEqual([...called].sort())
})
