import type { MillraceBase } from '@millrace/core/adapter'
import { type InjectionKey, inject, type Plugin } from 'vue'

const clientKey: InjectionKey<MillraceBase> = Symbol('millrace')

/** What {@link createMillrace} is given. */
export interface CreateMillraceOptions {
  /** The client that the composables use. It stays yours: the plugin does not close it. */
  readonly client: MillraceBase
}

/** The plugin that gives an app's composables their client: `app.use(createMillrace({ … }))`. Makes no connection. */
export function createMillrace({ client }: CreateMillraceOptions): Plugin<[]> {
  return { install: (app) => void app.provide(clientKey, client) }
}

/**
 * The client of the app.
 *
 * @throws Error when the app does not use {@link createMillrace}.
 */
export function useMillrace(): MillraceBase {
  const client = inject(clientKey, undefined)
  if (!client) throw new Error('The app has no Millrace client. Give it one: app.use(createMillrace({ … })).')
  return client
}
