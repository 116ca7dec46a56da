import { defineConfig } from 'vitest/config'

const conditions = ['millrace-source']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['**/*.test.ts'],
    testTimeout: 30_000,
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 30_000,
    // Each file starts servers and workers of its own; two files at a time keep two cores busy without starving timers.
    maxWorkers: 2,
    // Tests that say they may run beside others wait most of their time.
    maxConcurrency: 20,
  },
})
