import { defineConfig } from 'vitest/config'

// The condition resolves workspace packages to their sources, in imports and in import.meta.resolve.
const conditions = ['millrace-source']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    execArgv: ['--conditions=millrace-source'],
    testTimeout: 30_000, // some start processes, perhaps on a busy machine
    expect: { poll: { timeout: 20_000 } },
  },
})
