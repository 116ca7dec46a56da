import { expect, test } from 'vitest'
import { ValidationError } from '../errors/errors.ts'
import { setUp } from '../testing/setup.ts'
import type { StageOptions } from './types.ts'

test.each<[string, object]>([
  ['stages[0].dependsOn', { dependsOn: 'extract' }],
  ['stages[0].dependsOn[1]', { dependsOn: ['extract', undefined] }],
  ['stages[0].dependsOn[0]', { dependsOn: [null] }],
  ['stages[0].dependsOn[0]', { dependsOn: [7] }],
  ['stages[0].dependsOn[0]', { dependsOn: [''] }],
  ['stages[0].forEach', { forEach: null }],
  ['stages[0].forEach', { forEach: 3 }],
  ['stages[0].forEach', { forEach: '' }],
  ['stages[0].forEach', { forEach: new Set([1, 2]) }],
  ['stages[0].forEach', { forEach: new Uint8Array([1, 2]) }],
])('a stage that waits for what is no stage is refused at %s: %o', (path, wrong) => {
  const pipeline = setUp().mr.pipelines.create('p')
  // As JavaScript would.
  const add = () => pipeline.addStage({ name: 'load', ...wrong } as StageOptions)
  expect(add).toThrow(ValidationError)
  expect(add).toThrow(expect.objectContaining({ fields: [expect.objectContaining({ path })] }))
})
