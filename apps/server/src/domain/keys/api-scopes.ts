const ordinary = [
  'workers',
  'tasks:read',
  'tasks:write',
  'queues:read',
  'queues:write',
  'streams:read',
  'streams:write',
  'kv:read',
  'kv:write',
  'schedules:read',
  'schedules:write',
  'webhooks:read',
  'webhooks:write',
  'databases:read',
  'databases:write',
  'tables:read',
  'tables:write',
  'tables:sql',
  'vectors:read',
  'vectors:write',
  'schemas:read',
  'schemas:write',
  'objects:read',
  'objects:write',
] as const

/** What a key may be allowed to do. `admin` includes all but `root`; `root` includes all, for every tenant. */
export const apiScopes = ['admin', 'root', ...ordinary] as const

/** One of {@link apiScopes}. */
export type ApiScope = (typeof apiScopes)[number]

/** What a key may do when nothing else is said: everything but administration. */
export const defaultScopes: readonly ApiScope[] = ordinary

/** True for text that is a scope. */
export function isApiScope(text: string): text is ApiScope {
  return (apiScopes as readonly string[]).includes(text)
}

/**
 * All that a key may do.
 *
 * @param granted - the scopes the key was given.
 */
export function impliedScopes(granted: readonly string[]): ReadonlySet<ApiScope> {
  if (granted.includes('root')) return new Set(apiScopes)
  if (granted.includes('admin')) return new Set(apiScopes.filter((scope) => scope !== 'root'))
  return new Set(granted.filter(isApiScope))
}
