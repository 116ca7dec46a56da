import { writeFileSync } from 'node:fs'
import process from 'node:process'
import type { Reporter, SerializedError, TestModule } from 'vitest/node'

/** What ran, as tools/run.mjs reads it. */
export interface TestCounts {
  passed: number
  failed: number
  readonly skipped: { readonly name: string; readonly reason?: string }[]
}

/** Writes what ran, as JSON, to the file that TEST_COUNTS_FILE names. */
export class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const file = process.env.TEST_COUNTS_FILE
    if (file) writeFileSync(file, JSON.stringify(count(modules, unhandledErrors.length)))
  }
}

function count(modules: readonly TestModule[], unhandledErrors: number): TestCounts {
  const counts: TestCounts = { passed: 0, failed: unhandledErrors, skipped: [] }
  for (const module of modules) {
    const failedBefore = counts.failed
    for (const test of module.children.allTests()) {
      const result = test.result()
      if (result.state === 'passed') counts.passed++
      else if (result.state === 'skipped')
        counts.skipped.push({ name: `${module.relativeModuleId} > ${test.fullName}`, reason: result.note })
      else counts.failed++
    }
    // A file that does not load, or a hook that fails, has no failed test to count.
    if (module.state() === 'failed' && counts.failed === failedBefore) counts.failed++
  }
  return counts
}
