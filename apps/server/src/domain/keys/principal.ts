import { MillraceError } from '../../errors.ts'
import type { KeyRecord, Scope } from '../../store/ports.ts'
import { type ApiScope, impliedScopes } from './api-scopes.ts'

/** Namespaces whose objects a key keeps. */
const mostNamespaces = 100

/** Who calls: a key, and what it may do. */
export class Principal {
  /** The key. */
  readonly key: KeyRecord
  readonly #scopes: ReadonlySet<ApiScope>
  /** One object for each namespace in use, so that a call does not make one. */
  readonly #namespaces = new Map<string, Scope>()

  /** @param key - the key. */
  constructor(key: KeyRecord) {
    this.key = key
    this.#scopes = impliedScopes(key.scopes)
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
    const message = `The key ${this.key.hint}… lacks the scope '${scope}'. Use a key that has it, or make one with: millrace keys create`
    throw new MillraceError('PERMISSION_DENIED', message, { requiredScope: scope })
  }

  /**
   * Where a call with this key acts.
   *
   * @param namespace - a valid name.
   * @throws PERMISSION_DENIED when the key is limited to other namespaces.
   */
  in(namespace: string): Scope {
    const known = this.#namespaces.get(namespace)
    if (known) return known
    const { namespaces, hint, tenant } = this.key
    if (namespaces.length > 0 && !namespaces.includes(namespace)) {
      const message = `The key ${hint}… may not use the namespace '${namespace}', only ${namespaces.join(', ')}.`
      throw new MillraceError('PERMISSION_DENIED', message)
    }
    const scope = { tenant, namespace }
    if (this.#namespaces.size < mostNamespaces) this.#namespaces.set(namespace, scope)
    return scope
  }
}
