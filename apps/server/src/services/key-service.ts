import type { KeyServiceDefinition } from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { parseId } from '../domain/jobs/ids.ts'
import { type ApiScope, apiScopes, defaultScopes, isApiScope } from '../domain/keys/api-scopes.ts'
import type { Keyring } from '../domain/keys/keyring.ts'
import type { Principal } from '../domain/keys/principal.ts'
import { MillraceError, notFound } from '../errors.ts'
import type { TenantId } from '../store/ports.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { limits } from './limits.ts'
import { toApiKey } from './shapes.ts'

/** Namespaces of one key at most. */
const mostNamespaces = 100

/** Manages API keys. */
export function createKeyService({
  keyring,
  clock,
}: {
  readonly keyring: Keyring
  readonly clock: Clock
}): ServiceOf<typeof KeyServiceDefinition> {
  /** The tenant a request acts on, made when it is new; another than the caller's needs `root`. */
  async function tenantOf(principal: Principal, name: string): Promise<TenantId> {
    if (name === '' || name === principal.key.tenantName) return principal.key.tenant
    principal.require('root')
    return keyring.tenant(name)
  }

  /** The same, of a tenant that there is. */
  async function knownTenantOf(principal: Principal, name: string): Promise<TenantId> {
    if (name === '' || name === principal.key.tenantName) return principal.key.tenant
    principal.require('root')
    const tenant = await keyring.findTenant(name)
    if (tenant === undefined) throw notFound('tenant', name, 'here')
    return tenant
  }

  return {
    async createKey(request, { principal }) {
      const checks = new Checks()
      checks.text('name', request.name, limits.text)
      if (request.name.trim() === '') checks.fail('name', `is missing; give 1 to ${limits.text} characters`)
      checks.nameOr('tenant', request.tenant, '')
      const scopes = readScopes(checks, request.scopes)
      checkNamespaces(checks, request.namespaces)
      checks.integer('rateLimit', request.rateLimit, 0, limits.rate)
      const expiresAt = checks.time('expiresAt', request.expiresAt)
      if (expiresAt !== undefined && expiresAt <= clock.now()) checks.fail('expiresAt', 'is past; give a time to come, or nothing')
      checks.done()

      // No more than the caller may: by default what the caller has of the default, and only where the caller may go.
      for (const scope of scopes) principal.require(scope)
      const granted = scopes.length > 0 ? scopes : defaultScopes.filter((scope) => principal.may(scope))
      const namespaces = readNamespaces(principal, request.namespaces)
      const rateLimit = readRateLimit(principal, request.rateLimit)
      const tenant = await tenantOf(principal, request.tenant)
      const { key, secret } = await keyring.create({ tenant, name: request.name, scopes: granted, namespaces, rateLimit, expiresAt })
      return { key: toApiKey(key), secret }
    },

    async listKeys(request, { principal }) {
      const checks = new Checks()
      checks.nameOr('tenant', request.tenant, '')
      checks.done()
      const keys = await keyring.list(await knownTenantOf(principal, request.tenant))
      return { keys: keys.map(toApiKey) }
    },

    async revokeKey({ keyId, ...request }, { principal }) {
      const checks = new Checks()
      checks.id('keyId', keyId)
      checks.nameOr('tenant', request.tenant, '')
      checks.done()
      const tenant = await knownTenantOf(principal, request.tenant)
      const seq = parseId('key', keyId)
      const known = (await keyring.list(tenant)).find((candidate) => candidate.seq === seq)
      if (!known) throw notFound('key', keyId, 'of this tenant')
      // An administrator of one tenant does not end the keys that stand above all tenants.
      if (known.scopes.includes('root')) principal.require('root')
      const key = (await keyring.revoke(tenant, known.seq))!
      return { key: toApiKey(key) }
    },
  }
}

/** Calls per second of a new key: one that is limited itself can pass on no more. */
function readRateLimit({ name, key }: Principal, asked: number): number {
  if (key.rateLimit === 0) return asked
  if (asked <= key.rateLimit) return asked || key.rateLimit
  throw new MillraceError(
    'PERMISSION_DENIED',
    `The ${name} may make ${key.rateLimit} calls per second, so it cannot make one for ${asked}.`,
  )
}

/** Scopes of a request. */
export function readScopes(checks: Checks, scopes: readonly string[]): ApiScope[] {
  checks.count('scopes', scopes.length, 0, apiScopes.length)
  const known: ApiScope[] = []
  for (const [i, scope] of scopes.entries()) {
    checks.at('scopes', i)
    if (isApiScope(scope)) known.push(scope)
    else checks.fail('', `is not a scope; there are ${apiScopes.join(', ')}`)
  }
  checks.top()
  return [...new Set(known)]
}

/** Names of namespaces of a request. */
export function checkNamespaces(checks: Checks, namespaces: readonly string[]): void {
  checks.count('namespaces', namespaces.length, 0, mostNamespaces)
  for (const [i, namespace] of namespaces.entries()) {
    checks.at('namespaces', i)
    checks.name('', namespace)
  }
  checks.top()
}

/**
 * Namespaces for a key, or a token, that the caller makes: one that is limited to some can pass on those alone.
 *
 * @throws PERMISSION_DENIED
 */
export function readNamespaces(principal: Principal, asked: readonly string[]): string[] {
  const own = principal.namespaces
  if (asked.length === 0) return [...own]
  for (const namespace of asked) {
    if (own.length > 0 && !own.includes(namespace)) {
      throw new MillraceError(
        'PERMISSION_DENIED',
        `The ${principal.name} may not use the namespace '${namespace}', so it cannot make one that may.`,
      )
    }
  }
  return [...new Set(asked)]
}
