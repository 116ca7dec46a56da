import type { Clock } from '../../clock.ts'
import type { Keyring } from './keyring.ts'

/** The tenant of the first keys. */
const defaultTenant = 'default'

/** How long a key of `--dev` is valid. */
const devKeyMs = 7 * 24 * 3_600_000

/** What became of the first keys. */
export interface FirstKeys {
  /** A secret to show; absent when none was made. */
  readonly secret?: string
  /** What the operator should know, one sentence or two. */
  readonly notice?: string
}

/**
 * Sees to it that a server can be used: takes the root key of the configuration, makes a key for development, or says
 * that there is none.
 *
 * @param options - the key of the configuration, and whether this is a server for development.
 */
export async function bootstrapKeys(options: {
  readonly keyring: Keyring
  readonly clock: Clock
  readonly rootKey?: string
  readonly dev: boolean
}): Promise<FirstKeys> {
  const { keyring, clock, rootKey, dev } = options
  const tenant = await keyring.tenant(defaultTenant)
  const root = { tenant, scopes: ['root'], namespaces: [] }
  let notice: string | undefined
  if (rootKey !== undefined) {
    const key = await keyring.adopt({ ...root, name: 'root' }, rootKey)
    if (key.revokedAt !== undefined)
      notice = 'The root key of the configuration was revoked and is refused. Set MILLRACE_ROOT_KEY to a new one.'
  }
  if (dev) {
    const { secret } = await keyring.create({ ...root, name: 'dev', expiresAt: clock.now() + devKeyMs })
    return { secret, notice }
  }
  if (rootKey === undefined && (await keyring.list(tenant)).length === 0) {
    notice = 'There is no API key yet, so every call is refused. Set MILLRACE_ROOT_KEY (at least 32 characters), or start with --dev.'
  }
  return { notice }
}
