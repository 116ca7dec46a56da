import type { ErrorObject } from 'ajv'
import { join } from './walk.ts'

/** What is wrong, and where. */
export interface FieldProblem {
  readonly path: string
  readonly message: string
}

/** Problems told of one value. */
const mostProblems = 16
/** Values of an enumeration shown. */
const mostShown = 8

/** The path of a JSON pointer into a value: an index is one where the value has a list. */
export function pathOf(start: string, value: unknown, pointer: string): string {
  let path = start
  let at = value
  for (const part of pointer.split('/').slice(1)) {
    const step = part.replaceAll('~1', '/').replaceAll('~0', '~')
    path = join(path, Array.isArray(at) ? Number(step) : step)
    at = typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[step] : undefined
  }
  return path
}

/** What ajv found wrong with a payload, in our words. */
export function problemsOf(value: unknown, errors: readonly ErrorObject[]): FieldProblem[] {
  const problems = new Map<string, FieldProblem>()
  for (const error of errors) {
    const problem = problemOf(value, error)
    if (!problems.has(problem.path)) problems.set(problem.path, problem)
    if (problems.size === mostProblems) break
  }
  return [...problems.values()]
}

function problemOf(value: unknown, { keyword, instancePath, params, message = 'does not fit' }: ErrorObject): FieldProblem {
  const path = pathOf('payload', value, instancePath)
  switch (keyword) {
    case 'required':
    case 'dependentRequired':
      return { path: join(path, params.missingProperty as string), message: 'is missing' }
    case 'additionalProperties':
      return { path: join(path, params.additionalProperty as string), message: 'is not a property that the schema has' }
    case 'unevaluatedProperties':
      return { path: join(path, params.unevaluatedProperty as string), message: 'is not a property that the schema has' }
    case 'enum': {
      const values = (params.allowedValues as unknown[]).slice(0, mostShown).map((each) => JSON.stringify(each))
      const more = (params.allowedValues as unknown[]).length - values.length
      return { path, message: `is not one of ${values.join(', ')}${more > 0 ? ` and ${more} more` : ''}` }
    }
    case 'const':
      return { path, message: `is not ${JSON.stringify(params.allowedValue)}` }
    case 'type':
      return { path, message: `is not ${[params.type].flat().join(' or ')}` }
    case 'false schema':
      return { path, message: 'is not allowed' }
    default:
      return { path, message }
  }
}
