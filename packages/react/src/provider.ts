import type { MillraceBase } from '@millrace/core/adapter'
import { createContext, createElement, type ReactElement, type ReactNode, useContext } from 'react'

const ClientContext = createContext<MillraceBase | undefined>(undefined)

/** What {@link MillraceProvider} is given. */
export interface MillraceProviderProps {
  /** The client that the hooks below use. It stays yours: the provider does not close it. */
  readonly client: MillraceBase
  /** What may use the hooks. */
  readonly children?: ReactNode
}

/** Gives the hooks below it their client. Makes no connection. */
export function MillraceProvider({ client, children }: MillraceProviderProps): ReactElement {
  return createElement(ClientContext.Provider, { value: client }, children)
}

/**
 * The client of the nearest {@link MillraceProvider}.
 *
 * @throws Error when there is none.
 */
export function useMillrace(): MillraceBase {
  const client = useContext(ClientContext)
  if (!client) throw new Error('There is no <MillraceProvider> around this component. Put one around your app.')
  return client
}
