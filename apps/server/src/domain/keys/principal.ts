import { MillraceError } from '../../errors.ts'
import type { KeyRecord, Scope } from '../../store/ports.ts'
import { type ApiScope, impliedScopes } from './api-scopes.ts'
import { LimitedScope, type Resources } from './limited-scope.ts'
import type { TokenClaims } from './token.ts'

/** Namespaces whose objects a key keeps. */
const mostNamespaces = 100

/** Who calls: a key, or a token made from it, and what it may do. */
export class Principal {
  /** Hash of the secret that was shown. */
  readonly id: string
  /** The key. */
  readonly key: KeyRecord
  /** When it ends by itself, in milliseconds since 1970. */
  readonly expiresAt: number | undefined
  /** Namespaces it may use; empty means all. */
  readonly namespaces: readonly string[]
  /** True for a token. */
  readonly isToken: boolean
  /** The user that it uses tables as; '' when calls may say. */
  readonly user: string
  readonly #resources: Resources | undefined
  readonly #scopes: ReadonlySet<ApiScope>
  /** One object for each namespace in use, so that a call does not make one. */
  readonly #scopeOf = new Map<string, Scope>()

  /**
   * @param id - hash of the secret that was shown.
   * @param key - the key.
   * @param token - what the token says, when it is one; it never may more than its key.
   */
  constructor(id: string, key: KeyRecord, token?: TokenClaims) {
    const scopes = impliedScopes(key.scopes)
    this.id = id
    this.key = key
    this.isToken = token !== undefined
    this.user = token?.user ?? ''
    this.expiresAt = token ? Math.min(token.exp * 1000, key.expiresAt ?? Infinity) : key.expiresAt
    this.namespaces = token?.namespaces ?? key.namespaces
    this.#resources = token?.resources
    this.#scopes = token ? new Set([...impliedScopes(token.scopes)].filter((scope) => scopes.has(scope))) : scopes
  }

  /** How messages call it. */
  get name(): string {
    return `${this.isToken ? 'token of the key' : 'key'} ${this.key.hint}…`
  }

  /** True when the key may do what the scope names. */
  may(scope: ApiScope): boolean {
    return this.#scopes.has(scope)
  }

  /**
   * Refuses what the key may not do.
   *
   * @throws PERMISSION_DENIED
   */
  require(scope: ApiScope): void {
    if (this.may(scope)) return
    const remedy = this.isToken ? 'Make the token with it.' : 'Use a key that has it, or make one with: millrace keys create'
    throw new MillraceError('PERMISSION_DENIED', `The ${this.name} lacks the scope '${scope}'. ${remedy}`, { requiredScope: scope })
  }

  /** True when the key may be used in the namespace. */
  reaches(namespace: string): boolean {
    return this.#lists.every((list) => list.length === 0 || list.includes(namespace))
  }

  /** The key's own list counts too: a token never reaches further. */
  get #lists(): readonly (readonly string[])[] {
    return [this.namespaces, this.key.namespaces]
  }

  /**
   * Where a call with this key acts.
   *
   * @param namespace - a valid name.
   * @throws PERMISSION_DENIED when the key is limited to other namespaces.
   */
  in(namespace: string): Scope {
    const known = this.#scopeOf.get(namespace)
    if (known) return known
    const { key } = this
    for (const list of this.#lists) {
      if (list.length === 0 || list.includes(namespace)) continue
      throw new MillraceError('PERMISSION_DENIED', `The ${this.name} may not use the namespace '${namespace}', only ${list.join(', ')}.`)
    }
    const scope = this.#resources ? new LimitedScope(key.tenant, namespace, this.#resources) : { tenant: key.tenant, namespace }
    if (this.#scopeOf.size < mostNamespaces) this.#scopeOf.set(namespace, scope)
    return scope
  }
}
