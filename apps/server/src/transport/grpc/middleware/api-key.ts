import type { Metadata } from 'nice-grpc'

/** The secret a caller sent: `x-api-key: …` or `authorization: Bearer …`; undefined when there is none. */
export function secretOf(metadata: Metadata): string | undefined {
  const key = metadata.get('x-api-key')
  if (key) return key
  const authorization = metadata.get('authorization')
  return authorization && /^Bearer +(\S+)$/i.exec(authorization)?.[1]
}
