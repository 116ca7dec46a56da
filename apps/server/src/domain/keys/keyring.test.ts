import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { MillraceError } from '../../errors.ts'
import type { Store, TenantId } from '../../store/ports.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { defaultRetryPolicy, retryPlanner } from '../jobs/retry.ts'
import { bootstrapKeys } from './bootstrap.ts'
import { Keyring } from './keyring.ts'
import { createSecret } from './secret.ts'

let store: Store
let clock: ManualClock
let keyring: Keyring
let tenant: TenantId

beforeEach(async () => {
  clock = new ManualClock()
  store = await openSqliteStore({
    path: ':memory:',
    planRetry: retryPlanner(),
    defaultRetry: defaultRetryPolicy,
    defaultMaxDepth: 10,
    now: () => clock.now(),
  })
  onTestFinished(() => store.close())
  keyring = new Keyring({ store: store.keys, clock })
  tenant = await keyring.tenant('t')
})

const create = (expiresAt?: number) => keyring.create({ tenant, name: 'k', scopes: ['workers'], namespaces: [], expiresAt })
const refusal = async (secret: string | undefined) => {
  try {
    await keyring.authenticate(secret)
  } catch (error) {
    return error instanceof MillraceError ? `${error.reason}: ${error.message}` : error
  }
  return 'let in'
}

describe('a secret', () => {
  it('has a prefix, 43 digits of base 62, and never comes twice', () => {
    const secrets = new Set(Array.from({ length: 1000 }, createSecret))
    expect(secrets.size).toBe(1000)
    for (const secret of secrets) expect(secret).toMatch(/^mr_[0-9A-Za-z]{43}$/)
  })

  it('is not stored', async () => {
    const { key, secret } = await create()
    expect(key.hint).toBe(secret.slice(0, 10))
    expect(JSON.stringify(await keyring.list(tenant))).not.toContain(secret.slice(0, 12))
  })
})

describe('a key', () => {
  it('is known by its secret, the second time without a wait', async () => {
    const { key, secret } = await create()
    expect((await keyring.authenticate(secret)).key).toEqual(key)
    expect(keyring.authenticate(secret)).toBe(await keyring.authenticate(secret))
  })

  it('is refused when it is missing, wrong, revoked or expired', async () => {
    expect(await refusal(undefined)).toMatch(/^UNAUTHENTICATED: The call has no API key/)
    expect(await refusal('')).toMatch(/^UNAUTHENTICATED: The call has no API key/)
    expect(await refusal(createSecret())).toMatch(/^UNAUTHENTICATED: The API key is not known/)
    const expiring = await create(clock.now() + 1000)
    await clock.advance(999)
    expect(await refusal(expiring.secret)).toBe('let in')
    await clock.advance(1)
    expect(await refusal(expiring.secret)).toMatch(/^UNAUTHENTICATED: The API key mr_\w+… has expired/)
    const { key, secret } = await create()
    expect(await refusal(secret)).toBe('let in')
    expect(await keyring.revoke(tenant + 1, key.seq)).toBeUndefined()
    expect(await refusal(secret)).toBe('let in')
    expect((await keyring.revoke(tenant, key.seq))!.revokedAt).toBe(clock.now())
    expect(await refusal(secret)).toMatch(/^UNAUTHENTICATED: The API key mr_\w+… was revoked/)
  })

  it('revoked while it is looked up is not kept', async () => {
    const { key, secret } = await create()
    const looking = Promise.resolve(keyring.authenticate(secret)).catch((error) => error)
    await keyring.revoke(tenant, key.seq)
    await looking
    expect(await refusal(secret)).toMatch(/was revoked/)
  })

  it('that another server revoked is refused, and what is open under it ends: told of, or found when such may have been missed', async () => {
    const listen = vi.spyOn(store.keys, 'listen')
    const here = new Keyring({ store: store.keys, clock })
    const [listener] = listen.mock.lastCall!
    const ends: string[] = []
    const open = async (name: string) => {
      const { key, secret } = await create()
      const forget = here.onEnd(await here.authenticate(secret), () => {
        ends.push(name)
        forget()
      })
      return {
        key,
        refused: () =>
          Promise.resolve(here.authenticate(secret)).then(
            () => false,
            () => true,
          ),
      }
    }
    const one = await open('told')
    const two = await open('missed')
    await open('never')
    await keyring.revoke(tenant, one.key.seq)
    expect(ends).toEqual(['told'])
    expect(await one.refused()).toBe(true)
    // The store tells this server no more.
    store.keys.listen({ revoked: () => undefined, missed: () => undefined })
    await keyring.revoke(tenant, two.key.seq)
    expect(await two.refused()).toBe(false)
    listener.missed()
    await expect.poll(() => ends).toEqual(['told', 'missed'])
    expect(await two.refused()).toBe(true)
  })

  it('tells what is open when it ends: revoked, expired, or revoked just before', async () => {
    const ends: string[] = []
    const one = await create()
    const principal = await keyring.authenticate(one.secret)
    keyring.onEnd(principal, () => ends.push('revoked'))
    const forget = keyring.onEnd(principal, () => ends.push('never'))
    forget()
    const farAway = 60 * 24 * 3_600_000
    const two = await create(clock.now() + farAway)
    keyring.onEnd(await keyring.authenticate(two.secret), () => ends.push('expired'))
    await keyring.revoke(tenant, one.key.seq)
    expect(ends).toEqual(['revoked'])
    keyring.onEnd(principal, () => ends.push('late'))
    await clock.advance(0)
    expect(ends).toEqual(['revoked', 'late'])
    await clock.advance(farAway - 1)
    expect(ends).toEqual(['revoked', 'late'])
    await clock.advance(1)
    expect(ends).toEqual(['revoked', 'late', 'expired'])
  })
})

describe('the first keys', () => {
  const rootKey = 'a-root-key-of-thirty-two-characters!'

  it('are none, and that is said, when nothing is configured', async () => {
    expect(await bootstrapKeys({ keyring, clock, dev: false })).toEqual({ notice: expect.stringContaining('MILLRACE_ROOT_KEY') })
  })

  it('are the root key, made once', async () => {
    expect(await bootstrapKeys({ keyring, clock, rootKey, dev: false })).toEqual({ notice: undefined })
    expect(await bootstrapKeys({ keyring, clock, rootKey, dev: false })).toEqual({ notice: undefined })
    const keys = await keyring.list(await keyring.tenant('default'))
    expect(keys).toMatchObject([{ name: 'root', scopes: ['root'] }])
    expect((await keyring.authenticate(rootKey)).may('admin')).toBe(true)
    await keyring.revoke(keys[0]!.tenant, keys[0]!.seq)
    expect((await bootstrapKeys({ keyring, clock, rootKey, dev: false })).notice).toContain('was revoked')
  })

  it('are a new one for development, for seven days', async () => {
    const { secret } = await bootstrapKeys({ keyring, clock, dev: true })
    expect(await refusal(secret)).toBe('let in')
    await clock.advance(7 * 24 * 3_600_000)
    expect(await refusal(secret)).toMatch(/has expired/)
  })
})
