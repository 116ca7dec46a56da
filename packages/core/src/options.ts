import { type CircuitBreakerOptions, type CompiledBreaker, compileBreaker } from './calls/breaker-options.ts'
import { type CompiledRetry, compileRetry, type RetryOptions } from './calls/retry-options.ts'
import { type Clock, systemClock } from './clock.ts'
import { type Credentials, createCredentials } from './credentials.ts'
import { type Duration, toMs } from './durations.ts'
import { invalid } from './errors/errors.ts'
import { createConsoleLogger, isLogLevel, type Logger } from './logger.ts'
import type { ProofVerifier } from './tasks/proof.ts'

/** How one call is bounded. */
export interface CallOptions {
  /** Ends the call; it rejects with an error whose `name` is `'AbortError'`. */
  readonly signal?: AbortSignal
  /** Longest time of the call, its retries and waits for room included. Default: the client's `timeout`. */
  readonly timeout?: Duration
}

/** How a TLS connection is made and checked. */
export interface TlsOptions {
  /** Certificates of authorities to trust instead of the well-known ones, in PEM. */
  readonly ca?: string | Uint8Array
  /** The client's certificate chain, in PEM, for servers that ask for one. */
  readonly cert?: string | Uint8Array
  /** The private key of `cert`, in PEM. */
  readonly key?: string | Uint8Array
  /** Name to expect in the server's certificate instead of the endpoint's host. */
  readonly serverName?: string
}

/** How a dead connection is noticed. */
export interface KeepaliveOptions {
  /** Time between signs of life. Default 15 s. */
  readonly interval?: Duration
  /** Longest wait for the answer to one. Default 10 s. */
  readonly timeout?: Duration
}

/** Options of a client. All have defaults. */
export interface MillraceOptions {
  /**
   * Where the server is: `localhost:50051`, or `https://host` for TLS. Several servers over one database are given as a list
   * or with commas between them, `host1:50051,host2:50051`: the client uses one of them, in an order of its own, and goes on
   * at another when that one fails (over gRPC). Default: `MILLRACE_ENDPOINT`, then `localhost:50051`.
   */
  readonly endpoint?: string | readonly string[]
  /** The API key. Default: `MILLRACE_API_KEY`. */
  readonly apiKey?: string
  /** Instead of `apiKey`: a short-lived token, or what gets one. It is called before the first call, again shortly before a token of the server's ends, and once more when a token is refused. Calls made meanwhile share it. When it throws, the call fails with `UnavailableError`, or with what it threw when that is a `MillraceError`. */
  readonly token?: string | (() => string | Promise<string>)
  /** The namespace of everything this client does. Default: `MILLRACE_NAMESPACE`, then `default`. */
  readonly namespace?: string
  /** Longest time of a call, its retries included. Default 30 s. */
  readonly timeout?: Duration
  /** Connections to spread calls over. 1 to 100, default 1. */
  readonly maxConnections?: number
  /** Compression of what is sent. Default `none`. */
  readonly compression?: 'none' | 'gzip'
  /** How a dead connection is noticed; `false` turns it off. */
  readonly keepalive?: KeepaliveOptions | false
  /** TLS settings; `true` asks for TLS with the defaults. An `https://` endpoint always uses TLS. */
  readonly tls?: TlsOptions | boolean
  /** Takes log lines. Default: warnings and errors to the console; `MILLRACE_LOG` (`debug`, `info`, `warn`, `error`) sets the level. */
  readonly logger?: Logger
  /** How failed calls are tried again; `false` turns it off. */
  readonly retry?: RetryOptions | false
  /** When calls are held back after failures; `false` turns it off. */
  readonly circuitBreaker?: CircuitBreakerOptions | false
}

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Options after defaults, checked, durations in milliseconds. Nothing reads raw options after this. */
export interface CompiledOptions {
  /** Where the server is; of several servers, all, with commas between them. */
  readonly endpoint: string
  /** The secret that calls carry. */
  readonly credentials: Credentials
  /** The namespace of everything the client does. */
  readonly namespace: string
  /** Longest time of a call. */
  readonly timeoutMs: number
  /** How a dead connection is noticed; undefined: not. */
  readonly keepalive?: { readonly intervalMs: number; readonly timeoutMs: number }
  /** Takes log lines. */
  readonly logger: Logger
  /** How failed calls are tried again; undefined: not. */
  readonly retry?: CompiledRetry
  /** When calls are held back; undefined: never. */
  readonly breaker?: CompiledBreaker
  /** Loads what verifies proofs, where that comes with the client. */
  readonly loadVerifier?: () => Promise<ProofVerifier>
}

/**
 * Fills in defaults and checks options, but those that only connections over gRPC have.
 *
 * @param options - what the user gave.
 * @param env - environment variables; empty where there are none.
 * @param clock - source of time. Default: the machine's clock.
 * @throws ValidationError naming the option that is wrong.
 */
export function compileOptions(options: MillraceOptions, env: Environment, clock: Clock = systemClock): CompiledOptions {
  if (options.apiKey !== undefined && options.token !== undefined)
    throw invalid('token', `is given together with apiKey. Give one of them.`)
  const level = env.MILLRACE_LOG
  return {
    endpoint: [options.endpoint ?? env.MILLRACE_ENDPOINT ?? 'localhost:50051'].flat().join(','),
    credentials: createCredentials(options.token ?? options.apiKey ?? env.MILLRACE_API_KEY, clock),
    namespace: options.namespace ?? env.MILLRACE_NAMESPACE ?? 'default',
    timeoutMs: toMs('timeout', options.timeout ?? '30s'),
    keepalive: compileKeepalive(options.keepalive ?? {}),
    logger: options.logger ?? createConsoleLogger(isLogLevel(level) ? level : 'warn'),
    retry: compileRetry(options.retry ?? {}),
    breaker: compileBreaker(options.circuitBreaker ?? {}),
  }
}

function compileKeepalive(options: KeepaliveOptions | false): CompiledOptions['keepalive'] {
  if (options === false) return undefined
  return {
    intervalMs: toMs('keepalive.interval', options.interval ?? '15s'),
    timeoutMs: toMs('keepalive.timeout', options.timeout ?? '10s'),
  }
}
