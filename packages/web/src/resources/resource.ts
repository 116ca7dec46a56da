import type { ClientContext } from '@millrace/core/adapter'
import type { HttpRoute } from '@millrace/protocol/http'

/** One kind of thing that a client can work with: its part of `Millrace`, alone. */
export interface Resource<T> {
  /** @internal The calls it makes. */
  readonly routes: readonly HttpRoute[]
  /** @internal Makes it for a client. */
  create(context: ClientContext): T
}
