import type { StateServiceDefinition } from '@millrace/protocol'
import type { Clock } from '../clock.ts'
import { requireWhole } from '../domain/keys/limited-scope.ts'
import { notFound } from '../errors.ts'
import type { StateStore } from '../store/ports.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { limits } from './limits.ts'
import { toState } from './shapes.ts'

/** What stateful tasks keep between executions. */
export function createStateService({
  states,
  clock,
}: {
  readonly states: StateStore
  readonly clock: Clock
}): ServiceOf<typeof StateServiceDefinition> {
  return {
    async getState({ key }, { scope }) {
      requireWhole(scope, 'read states')
      checkKey(key)
      const state = await states.get(scope, key, clock.now())
      if (!state) throw notFound('state', key)
      return { state: toState(state) }
    },

    async listStates({ prefix, limit: asked, cursor }, { scope }) {
      requireWhole(scope, 'read states')
      const checks = new Checks()
      checks.text('prefix', prefix, limits.text)
      checks.text('cursor', cursor, limits.text)
      const limit = checks.page('limit', asked)
      checks.done()
      const found = await states.list(scope, prefix, { limit: limit + 1, after: cursor }, clock.now())
      const page = found.slice(0, limit)
      return { states: page.map(toState), nextCursor: found.length > limit ? page.at(-1)!.key : '' }
    },

    async deleteState({ key }, { scope }) {
      requireWhole(scope, 'delete states')
      checkKey(key)
      return { deleted: await states.delete(scope, key, clock.now()) }
    },
  }
}

function checkKey(key: string): void {
  const checks = new Checks()
  checks.id('key', key)
  checks.text('key', key, limits.text)
  checks.done()
}
