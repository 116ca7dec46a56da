import type { ServerConfig } from './config/settings.ts'
import { type Address, formatAddress } from './config/values.ts'
import { MillraceError } from './errors.ts'
import { StartError } from './start-error.ts'
import { sqlitePath } from './stores.ts'

/** Codes of files and folders that cannot be used. */
const unusable = new Set(['ENOENT', 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'EISDIR'])

/** Says what an operator can do about a failed start; faults pass unchanged. */
export function startError(
  error: unknown,
  config: ServerConfig,
  [flag, at]: [flag: string, at: Address] = ['--grpc', config.grpc],
): unknown {
  if (error instanceof MillraceError) return new StartError(error.message, { cause: error })
  if (!(error instanceof Error)) return error
  const { code, path } = error as NodeJS.ErrnoException
  const address = formatAddress(at)
  if (/EADDRINUSE/.test(error.message)) {
    return new StartError(
      `The address ${address} is in use. Stop the other program, or give another with ${flag} HOST:PORT (port 0 picks a free one).`,
    )
  }
  if (/EADDRNOTAVAIL|EACCES.*listen|listen EACCES|ENOTFOUND|Name resolution failed/i.test(error.message)) {
    return new StartError(`The address ${address} cannot be listened on (${error.message}). Give another with ${flag} HOST:PORT.`)
  }
  if (code !== undefined && unusable.has(code)) {
    return new StartError(`${path ?? config.data} cannot be used (${code}): check the path and its permissions, or give another.`, {
      cause: error,
    })
  }
  if (code === 'ERR_SQLITE_ERROR') {
    return new StartError(
      `The store in '${sqlitePath(config)}' cannot be used (${error.message}). Restore the directory from a backup, or give another.`,
      {
        cause: error,
      },
    )
  }
  if (/PEM|asn1|ERR_OSSL|key values mismatch/i.test(`${code} ${error.message}`)) {
    return new StartError(
      `The TLS certificate or key cannot be used (${error.message}). Check --tls-cert, --tls-key and --tls-client-ca.`,
      { cause: error },
    )
  }
  return error
}
