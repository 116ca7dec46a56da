import type { MillraceOptions } from '@millrace/core'
import type { MillraceBase } from '@millrace/core/adapter'
import { Millrace } from '@millrace/web'
import { type InjectionKey, inject, type Plugin } from 'vue'

const clientKey: InjectionKey<MillraceBase> = Symbol('millrace')

/** What {@link createMillrace} is given: options of a client for browsers, or a client. */
export interface CreateMillraceOptions extends MillraceOptions {
  /** Instead of all other options: a client of your own. It stays yours: the plugin never closes it. */
  readonly client?: MillraceBase
}

/**
 * The plugin that gives an app's composables their client: `app.use(createMillrace({ endpoint, token }))`. Makes no
 * connection: what composables look at is connected while their components are shown.
 *
 * @throws ValidationError when an option is wrong.
 */
export function createMillrace({ client, ...options }: CreateMillraceOptions = {}): Plugin<[]> {
  const used = client ?? new Millrace(options)
  return { install: (app) => void app.provide(clientKey, used) }
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
