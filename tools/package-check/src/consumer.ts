import { copyFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { exec } from './exec.ts'

const fixture = join(import.meta.dirname, '../fixtures/consumer.ts')
const require = createRequire(import.meta.url)

const compilers = [
  { name: 'TypeScript 5', tsc: join(dirname(require.resolve('typescript-5/package.json')), 'lib/tsc.js') },
  { name: 'TypeScript 7', tsc: join(dirname(require.resolve('typescript/package.json')), 'lib/tsc.js') },
]
const modes = [
  { module: 'nodenext', moduleResolution: 'nodenext' },
  { module: 'esnext', moduleResolution: 'bundler' },
]

/** Compiles a user's file against the packed types with each compiler and each way of finding modules. */
export async function checkTypes(project: string, check: (name: string, run: () => Promise<unknown>) => Promise<unknown>): Promise<void> {
  copyFileSync(fixture, join(project, 'consumer.ts'))
  for (const { name, tsc } of compilers) {
    for (const mode of modes) {
      const file = join(project, `tsconfig.${mode.moduleResolution}.json`)
      const compilerOptions = {
        ...mode,
        target: 'es2023',
        lib: ['es2023', 'esnext.disposable'],
        strict: true,
        noEmit: true,
        types: ['node'],
      }
      writeFileSync(file, JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
      await check(`types: ${name}, ${mode.moduleResolution}`, () => exec(process.execPath, [tsc, '-p', file], { cwd: project }))
    }
  }
}
