import type { MillraceOptions } from '@millrace/core'
import { ClientBase, type CompiledOptions, contextOf, systemClock } from '@millrace/core/adapter'
import { getHealth } from '@millrace/protocol/http'
import { HttpTransport } from './http/http-transport.ts'
import { compileWebOptions } from './options.ts'
import type { Resource } from './resources/resource.ts'

/** Resources by the names they get. */
type Resources = Readonly<Record<string, Resource<unknown>>>

/** A client that has some resources. */
export type ClientOf<R extends Resources> = ClientBase & { readonly [K in keyof R]: ReturnType<R[K]['create']> }

/** A transport for the calls of some resources. */
export function createTransport(options: CompiledOptions, resources: Resources): HttpTransport {
  // Whoever waits for the server to be ready asks for its health.
  const routes = [getHealth, ...Object.values(resources).flatMap((resource) => resource.routes)]
  return new HttpTransport(options, new Map(routes.map((route) => [route[0], route])), systemClock)
}

/**
 * Makes a client that has some resources and carries no others: what a page does not use, it does not load.
 *
 * @param options - as of `Millrace`.
 * @param resources - such as `{ tasks, kv }`, imported from this package; the client has them by these names.
 * @example
 * ```ts
 * import { createClient, tasks } from '@millrace/web'
 * const mr = createClient({ endpoint, token }, { tasks })
 * await mr.tasks.submit({ function: 'greet' })
 * ```
 * @throws ValidationError naming the option that is wrong.
 */
export function createClient<R extends Resources>(options: MillraceOptions, resources: R): ClientOf<R> {
  const compiled = compileWebOptions(options)
  const client = new ClientBase(createTransport(compiled, resources), compiled)
  const parts = Object.entries(resources).map(([name, resource]) => [name, resource.create(contextOf(client))])
  return Object.assign(client, Object.fromEntries(parts)) as ClientOf<R>
}
