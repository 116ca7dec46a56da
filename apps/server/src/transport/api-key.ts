/** Reads a header of a call, by its name in lower case. */
export type Header = (name: string) => string | undefined

/** The secret a caller sent: `x-api-key: …` or `authorization: Bearer …`; undefined when there is none. */
export function secretOf(header: Header): string | undefined {
  const key = header('x-api-key')
  if (key) return key
  const authorization = header('authorization')
  return authorization && /^Bearer +(\S+)$/i.exec(authorization)?.[1]
}
