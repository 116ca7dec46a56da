import type { ClientContext } from './context.ts'
import { type Duration, toMs } from './durations.ts'
import type { CallOptions } from './options.ts'
import { toText } from './wire.ts'

/** What a token may touch. Each list narrows it: a job must be in all of them. */
export interface TokenResources {
  /** Only these tasks; nothing can be submitted then. */
  readonly tasks?: readonly string[]
  /** Only jobs and tasks in these queues. */
  readonly queues?: readonly string[]
  /** Only tasks of these functions, and no plain queue jobs. */
  readonly functions?: readonly string[]
}

/** A token to make. */
export interface CreateTokenOptions extends CallOptions {
  /** What it may do, such as `tasks:read`; no more than the caller's key may. */
  readonly scopes: readonly string[]
  /** How long it is valid. 1 s to 24 h, default 15 minutes. It ends no later than the caller's key. */
  readonly ttl?: Duration
  /** What it may touch; only with the scopes `tasks:…` and `queues:…`. Default: everything that its scopes allow. */
  readonly resources?: TokenResources
  /**
   * The user that tables are used as with it, whatever its calls say: row-level security holds, and policies find the user in
   * `current_setting('millrace.user')`. At most 255 characters. Default: none.
   */
  readonly user?: string
  /** Namespaces it may use. Default: the client's. */
  readonly namespaces?: readonly string[]
}

/** A short-lived token. */
export interface CreatedToken {
  /** `mrt_…`: what the option `token` of a client takes. */
  readonly token: string
  /** When it ends. */
  readonly expiresAt: Date
}

/** Makes short-lived tokens, for browsers and others that must not hold a key. */
export class Tokens {
  readonly #context: ClientContext

  /** @internal Use `mr.tokens`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /**
   * Makes a token from the client's key. Revoking the key ends it.
   *
   * @throws ValidationError, and PermissionDeniedError when the key may not do what the token shall.
   */
  async create(options: CreateTokenOptions): Promise<CreatedToken> {
    const { scopes, ttl, namespaces, user, resources: given } = options
    const list = (path: string, names: readonly string[] | undefined) => (names ?? []).map((name) => toText(path, name))
    const request = {
      scopes: list('scopes', scopes),
      ttlMs: toMs('ttl', ttl),
      namespaces: list('namespaces', namespaces),
      user: toText('user', user),
      resources: given && {
        taskIds: list('resources.tasks', given.tasks),
        queues: list('resources.queues', given.queues),
        functions: list('resources.functions', given.functions),
      },
    }
    const { token, expiresAt } = await this.#context.safe('TokenService/CreateToken', request, options)
    return { token, expiresAt: expiresAt ?? new Date(0) }
  }
}
