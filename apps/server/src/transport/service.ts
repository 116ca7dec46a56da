import type { Call } from '../services/call.ts'
import { methodScopes, type RequiredScope } from '../services/method-scopes.ts'

/** A generated service definition and what implements it. */
export interface Service {
  readonly definition: { readonly fullName: string; readonly name: string; readonly methods: object }
  readonly implementation: Readonly<Record<string, (request: never, call: Call) => unknown>>
}

/** One method of a service. */
export interface ServedMethod {
  /** `TaskService/SubmitTask`. */
  readonly path: string
  /** `/millrace.v1.TaskService/SubmitTask`. */
  readonly grpcPath: string
  /** What it needs. */
  readonly required: RequiredScope
  /** Carries it out: one answer's promise, or a stream. */
  readonly run: (request: never, call: Call) => unknown
}

/**
 * Every method of the services.
 *
 * @throws Error when a method has no row in the table of scopes.
 */
export function methodsOf(services: readonly Service[]): ServedMethod[] {
  return services.flatMap(({ definition: { fullName, name, methods }, implementation }) =>
    (Object.entries(methods) as [string, { readonly name: string }][]).map(([key, method]) => {
      const required = methodScopes[fullName]?.[key]
      if (required === undefined) throw new Error(`${fullName}/${method.name} has no row in the table of scopes`)
      const run = (request: never, call: Call) => implementation[key]!(request, call)
      return { path: `${name}/${method.name}`, grpcPath: `/${fullName}/${method.name}`, required, run }
    }),
  )
}
