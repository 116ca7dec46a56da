import type { MillraceOptions, TlsOptions } from '@millrace/core'
import { type CompiledOptions, compileOptions, type Environment, invalid } from '@millrace/core/adapter'

/** Options after defaults, checked, with what connections over gRPC are made by. */
export interface GrpcOptions extends CompiledOptions {
  /** Connections to spread calls over. */
  readonly maxConnections: number
  /** Compression of what is sent. */
  readonly compression: 'none' | 'gzip'
  /** Undefined: TLS when the endpoint says `https://`. */
  readonly tls?: TlsOptions
}

/**
 * Fills in defaults and checks options.
 *
 * @throws ValidationError naming the option that is wrong.
 */
export function compileGrpcOptions(options: MillraceOptions, env: Environment): GrpcOptions {
  const { maxConnections = 1, compression = 'none', tls } = options
  if (!Number.isInteger(maxConnections) || maxConnections < 1 || maxConnections > 100) {
    throw invalid('maxConnections', `${maxConnections} is not a whole number from 1 to 100.`)
  }
  if (compression !== 'none' && compression !== 'gzip') throw invalid('compression', `'${compression}' is neither 'none' nor 'gzip'.`)
  return { ...compileOptions(options, env), maxConnections, compression, tls: tls === true ? {} : tls === false ? undefined : tls }
}
