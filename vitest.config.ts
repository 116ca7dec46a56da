import { defineConfig } from 'vitest/config'
import { CountReporter } from './tools/count-reporter.ts'

// Every package with tests has a vitest.config.ts of its own; from here all of them run at once.
export default defineConfig({
  test: {
    projects: ['{packages,apps,tests,tools,examples}/*/vitest.config.ts'],
    reporters: ['default', new CountReporter()],
  },
})
