import { globSync } from 'node:fs'
import { dirname } from 'node:path'
import { defineConfig } from 'vitest/config'
import { CountReporter } from './tools/count-reporter.ts'

const packages = globSync('{packages,apps,tests,tools,examples}/*/package.json', { cwd: import.meta.dirname })

// The tests of every package, each under its own vitest.config.ts when it has one.
export default defineConfig({ test: { projects: packages.map((path) => dirname(path)), reporters: ['default', new CountReporter()] } })
