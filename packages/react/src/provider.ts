import type { MillraceBase } from '@millrace/core/adapter'
import { Millrace } from '@millrace/web'
import { createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useMemo, useRef } from 'react'

const ClientContext = createContext<MillraceBase | undefined>(undefined)

/** What {@link MillraceProvider} is given: where the server is, or a client. */
export interface MillraceProviderProps {
  /** Where the server serves HTTP: `https://jobs.example.com`. Default: the page's own origin. */
  readonly endpoint?: string
  /** A short-lived token, or what gets one; may be another function each time. See the option `token` of a client. */
  readonly token?: string | (() => string | Promise<string>)
  /** Instead of `token`, in places that nobody else can look into. A key does not belong in a page. */
  readonly apiKey?: string
  /** The namespace of everything below. Default: `default`. */
  readonly namespace?: string
  /** Instead of all that: a client of your own. It stays yours: the provider never closes it. */
  readonly client?: MillraceBase
  /** What may use the hooks. */
  readonly children?: ReactNode
}

/**
 * Gives the hooks below it their client. Makes no connection: what hooks look at is connected while they are mounted.
 *
 * @throws ValidationError when an option is wrong.
 */
export function MillraceProvider({ client, children, ...options }: MillraceProviderProps): ReactElement {
  const own = useOwnClient(options, client === undefined)
  return createElement(ClientContext.Provider, { value: client ?? own }, children)
}

/** A client for as long as the options say the same; a token that is another is used when the last one has ended. */
function useOwnClient({ endpoint, token, apiKey, namespace }: MillraceProviderProps, needed: boolean): MillraceBase | undefined {
  const latest = useRef(token)
  useEffect(() => {
    latest.current = token
  }, [token])
  const withToken = token !== undefined
  return useMemo(() => {
    if (!needed) return undefined
    const getToken = () => {
      const now = latest.current
      return typeof now === 'function' ? now() : (now ?? '')
    }
    return new Millrace({ endpoint, apiKey, namespace, ...(withToken && { token: getToken }) })
  }, [needed, endpoint, apiKey, namespace, withToken])
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
