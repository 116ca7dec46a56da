import { expect } from 'vitest'
import type { Scope } from '../ports.ts'
import type { Case } from './harness.ts'

/** Tenants and API keys. */
export const keyCases: readonly Case[] = [
  {
    name: 'gives a tenant one number',
    async run(t) {
      expect(await t.store.keys.tenant('one', 1)).toBe(t.scope.tenant)
      expect(await t.store.keys.findTenant('one')).toBe(t.scope.tenant)
      expect(await t.store.keys.findTenant('nobody')).toBeUndefined()
      expect(t.otherTenant.tenant).not.toBe(t.scope.tenant)
    },
  },
  {
    name: 'finds keys by hash, lists them by tenant, revokes them once',
    async run(t) {
      const hash = new Uint8Array(32).fill(7)
      const key = {
        tenant: t.scope.tenant,
        name: 'ci',
        hash,
        hint: 'mr_abc',
        scopes: ['admin'],
        namespaces: ['a'],
        rateLimit: 50,
        createdAt: 5,
        expiresAt: 9,
      }
      const created = await t.store.keys.create(key)
      await t.reopen()
      expect(await t.store.keys.findByHash(hash)).toEqual(created)
      expect(created).toMatchObject({ ...key, hash: expect.anything(), tenantName: 'one' })
      expect(await t.store.keys.findByHash(new Uint8Array(32))).toBeUndefined()
      expect(await t.store.keys.list(t.otherTenant.tenant)).toEqual([])
      expect(await t.store.keys.revoke(t.otherTenant.tenant, created.seq, 11)).toBeUndefined()
      expect(await t.store.keys.revoke(t.scope.tenant, created.seq, 11)).toMatchObject({ revokedAt: 11 })
      expect(await t.store.keys.revoke(t.scope.tenant, created.seq, 12)).toMatchObject({ revokedAt: 11 })
    },
  },
  {
    name: 'finds keys by number within their tenant',
    async run(t) {
      const key = {
        tenant: t.scope.tenant,
        name: 'k',
        hash: new Uint8Array(32).fill(8),
        hint: 'mr_',
        scopes: [],
        namespaces: [],
        rateLimit: 0,
        createdAt: 5,
      }
      const created = await t.store.keys.create(key)
      expect(await t.store.keys.find(t.scope.tenant, created.seq)).toEqual(created)
      expect(await t.store.keys.find(t.otherTenant.tenant, created.seq)).toBeUndefined()
      expect(await t.store.keys.find(t.scope.tenant, created.seq + 1)).toBeUndefined()
    },
  },
  {
    name: 'keeps the first secret for tokens that a tenant is given',
    async run(t) {
      const { tenant } = t.scope
      const fresh = (byte: number) => new Uint8Array(32).fill(byte)
      expect(await t.store.keys.tokenSecret(tenant)).toBeUndefined()
      const given = await Promise.all([1, 2, 3].map((byte) => t.store.keys.tokenSecret(tenant, fresh(byte))))
      const secret = Buffer.from(given[0]!)
      expect(secret).toHaveLength(32)
      expect(given.map((each) => Buffer.from(each!))).toEqual([secret, secret, secret])
      await t.reopen()
      expect(Buffer.from((await t.store.keys.tokenSecret(tenant))!)).toEqual(secret)
      expect(Buffer.from((await t.store.keys.tokenSecret(tenant, fresh(4)))!)).toEqual(secret)
      expect(await t.store.keys.tokenSecret(t.otherTenant.tenant)).toBeUndefined()
      expect(await t.store.keys.tokenSecret(2 ** 31 - 1, fresh(5))).toBeUndefined()
    },
  },
  {
    name: 'counts what a tenant may have only so many of, of all namespaces',
    async run(t) {
      const of = async ({ tenant }: Scope) => Object.fromEntries((await t.store.quotas(tenant)).map(({ type, used }) => [type, used]))
      const before = await of(t.scope)
      for (const name of ['a', 'b', 'a']) await t.store.queues.update(t.scope, name, { paused: true }, t.clock.now())
      await t.store.queues.update(t.otherNamespace, 'a', { paused: true }, t.clock.now())
      expect(await of(t.scope)).toEqual({ ...before, queues: 3 })
      expect(await of(t.otherTenant)).toEqual({ ...before, queues: 0 })
      for (const { limit } of await t.store.quotas(t.scope.tenant)) expect(limit).toBe(10_000)
      await t.reopen()
      expect(await of(t.scope)).toEqual({ ...before, queues: 3 })
    },
  },
  {
    name: 'tells of revoked keys',
    async run(t) {
      const told: unknown[] = []
      t.store.keys.listen({ revoked: (...key) => told.push(key), missed: () => undefined })
      const key = {
        tenant: t.scope.tenant,
        name: 'k',
        hash: new Uint8Array(32).fill(9),
        hint: 'mr_',
        scopes: [],
        namespaces: [],
        rateLimit: 0,
        createdAt: 5,
      }
      const { seq } = await t.store.keys.create(key)
      await t.store.keys.revoke(t.otherTenant.tenant, seq, 11)
      expect(told).toEqual([])
      await t.store.keys.revoke(t.scope.tenant, seq, 11)
      expect(told).toEqual([[t.scope.tenant, seq]])
    },
  },
]
