import { MillraceError } from '../../../errors.ts'

/** What S3 says of credentials that it does not take. */
const refusals =
  /^(AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AllAccessDisabled|RequestTimeTooSkewed|Forbidden|Unauthorized|CredentialsProviderError)$/

/** What a fault of S3 is called: `NoSuchBucket`, `SlowDown`, `ECONNREFUSED`, … */
export function faultOf(error: unknown): string {
  const { name, code, errors } = error as { name?: string; code?: unknown; errors?: readonly unknown[] }
  // All addresses of a host were tried.
  if (errors?.[0] !== undefined) return faultOf(errors[0])
  return typeof code === 'string' ? code : (name ?? 'Error')
}

/** What a caller sees of a fault of S3. What S3 says of it is kept, without what it repeats of the request. */
export function storageError(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error
  const fault = faultOf(error)
  const what =
    fault === 'NoSuchBucket'
      ? 'The bucket with the objects is not there'
      : refusals.test(fault)
        ? "The S3 server with the objects refuses this server's credentials"
        : 'The S3 server with the objects cannot be used'
  const cause = new Error(`${fault}: ${(error as Error).message}`)
  return new MillraceError('UNAVAILABLE', `${what} (${fault}).`, { retryAfterMs: 1000 }, { cause })
}

/** What an operator does about a fault. */
export function adviceOn(fault: string): string {
  if (fault === 'NoSuchBucket') return 'Make the bucket, or name another one with --objects.'
  if (fault === 'CredentialsProviderError') return 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.'
  if (refusals.test(fault)) {
    return 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the clock, and that they may put, get and delete objects and list and abort uploads of the bucket.'
  }
  if (/^(PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/.test(fault) || fault.startsWith('Region')) {
    return 'Give the region of the bucket: --objects s3://BUCKET?region=REGION.'
  }
  return 'Check that the server runs and is reached from here, and the endpoint in --objects.'
}

/** For promises of the client: what a caller sees of what they reject with. */
export function rethrow(error: unknown): never {
  throw storageError(error)
}
