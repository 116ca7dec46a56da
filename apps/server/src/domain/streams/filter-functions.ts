import { type CelEnv, type CelFunc, CelScalar, type CelValue, celEnv, celFunc, celMethod, isCelList, isCelMap } from '@bufbuild/cel'
import type { CompiledPattern } from '../schemas/pattern.ts'

/**
 * What one run of a filter may do. A unit is a character, or a sixteenth of an item, that a function is given; of a regular
 * expression, a character times its size.
 */
export interface Work {
  left: number
  /** The regular expressions of the filter, by their texts. */
  readonly patterns: ReadonlyMap<string, CompiledPattern>
}

/** Of the run that is being made: runs wait for nothing, so there is one at a time. */
let current: Work = { left: 0, patterns: new Map() }

/** Makes a run with what it may do. */
export function withWork<T>(work: Work, run: () => T): T {
  current = work
  return run()
}

/** Each item of a list or map. */
const itemCost = 16

function sizeOf(value: CelValue | undefined): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length
  return isCelList(value) || isCelMap(value) ? itemCost * value.size : 0
}

/** A function that is counted, and does nothing once there was too much: what a filter makes larger and larger ends there. */
function counted(func: CelFunc): CelFunc {
  return Object.create(func, {
    call: {
      value(id: number, target: CelValue | undefined, args: CelValue[]) {
        if (current.left < 0) return func.call(id, undefined, [])
        const result = func.call(id, target, args)
        if (result !== undefined) current.left -= args.reduce<number>((sum, arg) => sum + sizeOf(arg), sizeOf(target))
        return result
      },
    },
  }) as CelFunc
}

const { BOOL, INT, STRING } = CelScalar

/** How many characters there are. The library's own makes a list of them. */
function length(text: string): bigint {
  let count = 0
  for (const _ of text) count++
  return BigInt(count)
}

const own = [
  celFunc('size', [STRING], INT, length),
  celMethod('size', STRING, [], INT, function () {
    return length(this)
  }),
  celMethod('matches', STRING, [STRING], BOOL, function (text) {
    const pattern = current.patterns.get(text)!
    current.left -= this.length * pattern.size
    return current.left >= 0 && pattern.test(this)
  }),
  // Some texts take as many steps as their lengths multiplied.
  celMethod('contains', STRING, [STRING], BOOL, function (text) {
    current.left -= (this.length * text.length) / 64
    return current.left >= 0 && this.includes(text)
  }),
]

/** The functions of filters. */
export const env: CelEnv = celEnv({ funcs: [...celEnv({ funcs: own }).funcs].map(counted) })

/** How many arguments a function, or a method, may be given; empty when there is none of the name. */
export function takesArguments(name: string, method: boolean): number[] {
  const found = [...(env.funcs.find(name) ?? [])].filter(({ target }) => (target !== undefined) === method)
  return [...new Set(found.map(({ arguments: each }) => each.length))].sort()
}
