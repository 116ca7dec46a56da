import { copyFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { exec } from './exec.ts'

/** Users' files, and what their compiler is told of where they run. */
const fixtures = [
  { file: 'consumer.ts', options: { lib: ['es2023', 'esnext.disposable'], types: ['node'] } },
  { file: 'page.tsx', options: { lib: ['es2023', 'esnext.disposable', 'dom'], types: [], jsx: 'react-jsx' } },
]
const require = createRequire(import.meta.url)

const compilers = [
  { name: 'TypeScript 5', tsc: join(dirname(require.resolve('typescript-5/package.json')), 'lib/tsc.js') },
  { name: 'TypeScript 7', tsc: join(dirname(require.resolve('typescript/package.json')), 'lib/tsc.js') },
]
const modes = [
  { module: 'nodenext', moduleResolution: 'nodenext' },
  { module: 'esnext', moduleResolution: 'bundler' },
]

/** Compiles users' files against the packed types with each compiler and each way of finding modules. */
export async function checkTypes(project: string, check: (name: string, run: () => Promise<unknown>) => Promise<unknown>): Promise<void> {
  for (const { file, options } of fixtures) {
    copyFileSync(join(import.meta.dirname, '../fixtures', file), join(project, file))
    for (const { name, tsc } of compilers) {
      for (const mode of modes) {
        const config = join(project, `tsconfig.${file}.${mode.moduleResolution}.json`)
        const compilerOptions = { ...mode, ...options, target: 'es2023', strict: true, noEmit: true }
        writeFileSync(config, JSON.stringify({ compilerOptions, files: [file] }))
        await check(`types: ${file}, ${name}, ${mode.moduleResolution}`, () =>
          exec(process.execPath, [tsc, '-p', config], { cwd: project }),
        )
      }
    }
  }
}
