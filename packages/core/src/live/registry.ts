import { type ClientBase, contextOf } from '../client-base.ts'
import type { ClientContext } from '../context.ts'
import type { MillraceError } from '../errors/errors.ts'
import { idle, Subject } from './subject.ts'
import type { Observer, Source } from './types.ts'

/** The observed things of one client by their names: each is there once while somebody looks. */
class Registry {
  readonly #context: ClientContext
  readonly #subjects = new Map<string, Subject<unknown>>()
  #closed: MillraceError | undefined

  constructor(context: ClientContext) {
    this.#context = context
    context.onClose.add((error) => {
      this.#closed = error
      for (const subject of this.#subjects.values()) subject.fail(error)
    })
  }

  peek<T>(key: string): Subject<T> | undefined {
    return this.#subjects.get(key) as Subject<T> | undefined
  }

  open<T>(key: string, source: Source<T>): Subject<T> {
    const known = this.peek<T>(key)
    if (known) return known
    const guarded: Source<T> = (sink) => {
      if (!this.#closed) return source(sink)
      sink.fail(this.#closed)
      return () => undefined
    }
    const subject = new Subject<T>(guarded, this.#context.clock, () => this.#subjects.delete(key))
    this.#subjects.set(key, subject as Subject<unknown>)
    return subject
  }
}

const registries = new WeakMap<ClientContext, Registry>()

/**
 * Makes something observable. A new kind of thing is one call of this.
 *
 * @param key - names the thing: observers with the same name share one subscription.
 * @param createSource - makes what looks at it; called when it is looked at first.
 */
export function createObserver<T>(client: ClientBase, key: string, createSource: (context: ClientContext) => Source<T>): Observer<T> {
  return createObserverIn(contextOf(client), key, createSource)
}

/** As {@link createObserver}, for what has the client's context already. */
export function createObserverIn<T>(context: ClientContext, key: string, createSource: (context: ClientContext) => Source<T>): Observer<T> {
  let registry = registries.get(context)
  if (!registry) {
    registry = new Registry(context)
    registries.set(context, registry)
  }
  const subjects = registry
  const open = () => subjects.open<T>(key, (sink) => createSource(context)(sink))
  return {
    subscribe: (listener) => open().subscribe(listener),
    getSnapshot: () => subjects.peek<T>(key)?.snapshot ?? idle,
    first: () => open().first(),
    retry: () => subjects.peek(key)?.retry(),
  }
}
