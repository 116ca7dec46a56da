/** The secret that calls carry. */
export interface Credentials {
  /** True when a refused secret can be replaced. */
  readonly renewable: boolean
  /** The secret; a promise only while it is being fetched; undefined when there is none. */
  get(): string | undefined | Promise<string>
  /** Forgets a secret that was refused, so that the next `get` fetches another. */
  renew(): void
}

/**
 * Keeps the secret. Calls made while it is fetched share one fetch.
 *
 * @param source - the secret, or what gets one.
 */
export function createCredentials(source: string | (() => string | Promise<string>) | undefined): Credentials {
  if (typeof source !== 'function') return { renewable: false, get: () => source, renew: () => undefined }
  let current: string | Promise<string> | undefined
  const fetchToken = (): Promise<string> => {
    const fetching = Promise.resolve(source()).then(
      (token) => {
        if (current === fetching) current = token
        return token
      },
      (error) => {
        if (current === fetching) current = undefined
        throw error
      },
    )
    current = fetching
    return fetching
  }
  return {
    renewable: true,
    get: () => current ?? fetchToken(),
    renew() {
      current = undefined
    },
  }
}
