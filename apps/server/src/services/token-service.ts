import type { TokenResources, TokenServiceDefinition } from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { parseId } from '../domain/jobs/ids.ts'
import type { Keyring } from '../domain/keys/keyring.ts'
import type { Resources } from '../domain/keys/limited-scope.ts'
import { mostTokenCharacters } from '../domain/keys/token.ts'
import { invalid, MillraceError } from '../errors.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { checkNamespaces, readNamespaces, readScopes } from './key-service.ts'
import { limits } from './limits.ts'

const ttl = { min: 1000, max: 24 * 3_600_000, default: 15 * 60_000 }

/** Names of each list of resources at most. */
const mostNames = 100

/** Makes short-lived tokens. */
export function createTokenService({
  keyring,
  clock,
}: {
  readonly keyring: Keyring
  readonly clock: Clock
}): ServiceOf<typeof TokenServiceDefinition> {
  return {
    async createToken(request, { principal, scope }) {
      if (principal.isToken) throw new MillraceError('PERMISSION_DENIED', 'A token cannot make tokens. Make it with an API key.')
      const checks = new Checks()
      const scopes = readScopes(checks, request.scopes)
      if (request.scopes.length === 0) checks.fail('scopes', 'is empty; say what the token may do, such as tasks:read')
      if (request.ttlMs !== 0) checks.integer('ttlMs', request.ttlMs, ttl.min, ttl.max)
      checkNamespaces(checks, request.namespaces)
      const resources = request.resources && readResources(checks, request.resources)
      checks.text('user', request.user, limits.text)
      if (request.user.includes('\0')) checks.fail('user', 'contains a zero byte')
      for (const name of resources ? scopes : []) {
        if (!/^(tasks|queues):/.test(name))
          checks.fail('resources', `cannot be given together with the scope '${name}', only with tasks:… and queues:…`)
      }
      checks.done()
      for (const name of scopes) principal.require(name)
      const namespaces = readNamespaces(principal, request.namespaces.length > 0 ? request.namespaces : [scope.namespace])
      const { tenant, seq, expiresAt = Infinity } = principal.key
      const now = clock.now()
      // Whole seconds, and not a moment longer than was asked for.
      const exp = Math.floor(Math.min(now + (request.ttlMs || ttl.default), expiresAt) / 1000)
      const iat = Math.floor(now / 1000)
      const user = request.user || undefined
      const token = await keyring.createToken({ tenant, key: seq, scopes, namespaces, resources, user, iat, exp })
      if (token.length > mostTokenCharacters) {
        const field = resources ? 'resources' : 'namespaces'
        throw invalid(
          field,
          `makes a token of ${token.length} characters; at most ${mostTokenCharacters} are taken. Name fewer, or shorter names`,
        )
      }
      return { token, expiresAt: new Date(exp * 1000) }
    },
  }
}

function readResources(checks: Checks, { taskIds, queues, functions }: TokenResources): Resources | undefined {
  for (const [field, names] of Object.entries({ queues, functions })) {
    checks.count(`resources.${field}`, names.length, 0, mostNames)
    for (const name of names) checks.name(`resources.${field}`, name)
  }
  checks.count('resources.taskIds', taskIds.length, 0, mostNames)
  const tasks = taskIds.map((id) => {
    const seq = parseId('task', id)
    if (seq === undefined) checks.fail('resources.taskIds', `'${id.slice(0, 64)}' is not the id of a task`)
    return seq!
  })
  if (tasks.length + queues.length + functions.length === 0) return undefined
  return {
    ...(tasks.length > 0 && { tasks }),
    ...(queues.length > 0 && { queues }),
    ...(functions.length > 0 && { functions }),
  }
}
