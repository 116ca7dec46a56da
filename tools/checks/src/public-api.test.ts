import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readPublicApi } from './public-api.ts'

let root: string
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'millrace-api-')))
  mkdirSync(join(root, 'apps'))
})
afterEach(() => rmSync(root, { recursive: true }))

function writePackage(name: string, declarations: string, more: object = {}): void {
  const folder = join(root, 'packages', name)
  const exports = { '.': { types: './dist/index.d.ts', default: './dist/index.js' }, './package.json': './package.json' }
  for (const [file, text] of Object.entries({
    'package.json': JSON.stringify({ name: `@millrace/${name}`, type: 'module', exports, ...more }),
    'dist/index.d.ts': declarations,
  })) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
}

it('reports what users can see, in a stable order, without comments', () => {
  writePackage(
    'one',
    `/** Not exported, but part of B. */
     interface Inner { readonly x: number }
     declare class B {
       #secret: string
       private hidden: number;
       /** Doc. */
       run(inner: Inner): void;
     }
     declare const A: number;
     export { B, A as First };`,
  )
  const [module] = readPublicApi(root)
  expect(module?.name).toBe('@millrace/one')
  expect(module?.text).toBe(
    ['export class B {\n    run(inner: Inner): void;\n}', 'export const A: number;', 'interface Inner {\n    readonly x: number;\n}'].join(
      '\n\n',
    ),
  )
})

it('says what has no documentation, down to members, and leaves out what is private', () => {
  writePackage(
    'one',
    `/** Documented. */
     export declare class Good extends Error {
       name: string;
       /** Yes. */
       a: number;
       b: number;
       private c: number;
       #d;
     }
     export interface Bad {
       /** Yes. */
       a: number
     }
     export declare function bad(): void;`,
  )
  const [module] = readPublicApi(root)
  const missing = module?.symbols.filter((symbol) => !symbol.documented).map((symbol) => symbol.name)
  expect(missing).toEqual(['bad', 'Good.b', 'Bad'])
  expect(module?.symbols).toHaveLength(6)
})

it('names the package that a re-exported symbol comes from', () => {
  writePackage('one', '/** A. */ export interface A {}')
  writePackage('two', "export { type A } from '../../one/dist/index.js'")
  const two = readPublicApi(root).find((module) => module.name === '@millrace/two')
  expect(two).toMatchObject({ text: "export { A } from '@millrace/one'", symbols: [] })
})

it('passes over private packages and refuses one that is not built', () => {
  writePackage('one', 'export {}', { private: true })
  expect(readPublicApi(root)).toEqual([])
  writePackage('two', 'export declare const a: 1')
  rmSync(join(root, 'packages/two/dist'), { recursive: true })
  expect(() => readPublicApi(root)).toThrow('packages/two/dist/index.d.ts is missing')
})
