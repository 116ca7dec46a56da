import type { Clock } from './clock.ts'
import { MillraceError, unavailable } from './errors/errors.ts'

/** The secret that calls carry. */
export interface Credentials {
  /** True when a refused secret can be replaced. */
  readonly renewable: boolean
  /** Changes with each secret; tells `renew` which one was refused. */
  readonly version: number
  /** The secret; a promise only while it is being fetched, which rejects with a `MillraceError`; undefined when there is none. */
  get(): string | undefined | Promise<string>
  /** Forgets a secret that was refused, so that the next `get` fetches another. Does nothing when there is a newer one already. */
  renew(version: number): void
}

/** A token and when to use another, in milliseconds since 1970. */
interface Current {
  readonly token: string
  readonly staleAt: number
  readonly endsAt: number
}

/** Part of a token's time after which the next one is fetched, and most that is left of it then. */
const useful = 0.9
const longestRest = 60_000

/**
 * Keeps the secret. Calls made while it is fetched share one fetch. A token that says when it ends is replaced shortly
 * before; when that fails, it is used to its end.
 *
 * @param source - the secret, or what gets one.
 * @param clock - tells when a token has ended; how long it lasts is counted from when it came, as clocks differ.
 */
export function createCredentials(source: string | (() => string | Promise<string>) | undefined, clock: Clock): Credentials {
  if (typeof source !== 'function') return { renewable: false, version: 0, get: () => source, renew: () => undefined }
  let version = 0
  let current: Current | undefined
  let fetching: Promise<string> | undefined
  const fetchToken = (): Promise<string> => {
    if (current) version++
    const own = new Promise<string>((resolve) => resolve(source())).then(
      (token) => {
        if (fetching === own) {
          fetching = undefined
          current = withTimes(token, clock.now())
        }
        return token
      },
      (error) => {
        if (fetching === own) fetching = undefined
        if (current && clock.now() < current.endsAt) return current.token
        throw noToken(error)
      },
    )
    fetching = own
    return own
  }
  return {
    renewable: true,
    get version() {
      return version
    },
    get: () => fetching ?? (current && clock.now() < current.staleAt ? current.token : fetchToken()),
    renew(refused) {
      if (refused !== version) return
      version++
      current = undefined
      fetching = undefined
    },
  }
}

/** What the user's function threw means what it says when it is an error of ours; else it is an outage, such as a page that is offline. */
function noToken(cause: unknown): MillraceError {
  if (cause instanceof MillraceError) return cause
  const message = `The option 'token' gave no token: ${cause instanceof Error ? cause.message : String(cause)}`
  return unavailable(message, { cause })
}

function withTimes(token: string, now: number): Current {
  const lifetime = lifetimeOf(token)
  return { token, endsAt: now + lifetime, staleAt: now + Math.max(lifetime * useful, lifetime - longestRest) }
}

/** How long a token of a server lasts, in milliseconds; without end for what does not say. */
function lifetimeOf(token: string): number {
  try {
    const body = /^mrt_([\w-]+)\./.exec(token)?.[1] ?? ''
    const { iat, exp } = JSON.parse(atob(body.replace(/-/g, '+').replace(/_/g, '/'))) as { iat: number; exp: number }
    return exp > iat ? (exp - iat) * 1000 : Number.POSITIVE_INFINITY
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
