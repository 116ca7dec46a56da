import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Seq, TenantId } from '../../store/ports.ts'
import type { Resources } from './limited-scope.ts'

/** What a token says. */
export interface TokenClaims {
  readonly tenant: TenantId
  /** The key that made it. */
  readonly key: Seq
  readonly scopes: readonly string[]
  /** Never empty, unless the key may use all namespaces and the token shall. */
  readonly namespaces: readonly string[]
  readonly resources?: Resources
  /** The user that tables are used as. */
  readonly user?: string
  /** When it was made and when it ends, in seconds since 1970. Clients read them. */
  readonly iat: number
  readonly exp: number
}

const prefix = 'mrt_'
/** Longest token that is looked at, and so that is made: as long as headers may be. */
export const mostTokenCharacters = 8192

/** True for what may be a token; keys begin otherwise. */
export function isToken(secret: string): boolean {
  return secret.startsWith(prefix) && secret.includes('.')
}

/** Writes a token: `mrt_`, its claims, and their signature. There is one algorithm, so none is named. */
export function signToken(claims: TokenClaims, secret: Uint8Array): string {
  const body = Buffer.from(JSON.stringify(claims)).toString('base64url')
  return `${prefix}${body}.${sign(body, secret).toString('base64url')}`
}

/** A token before its signature was checked: only good for finding the secret to check it with. */
export interface UncheckedToken {
  readonly tenant: TenantId
  /** What it says; undefined when the signature is not of this secret. */
  claims(secret: Uint8Array): TokenClaims | undefined
}

/** Takes a token apart; undefined when it is not one. */
export function readToken(token: string): UncheckedToken | undefined {
  const [body = '', signature = '', ...rest] = token.slice(prefix.length).split('.')
  if (token.length > mostTokenCharacters || rest.length > 0) return undefined
  const claims = parse(body)
  if (!claims) return undefined
  return {
    tenant: claims.tenant,
    claims(secret) {
      const given = Buffer.from(signature, 'base64url')
      const right = sign(body, secret)
      return given.length === right.length && timingSafeEqual(given, right) ? claims : undefined
    },
  }
}

function sign(body: string, secret: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(prefix).update(body).digest()
}

function parse(body: string): TokenClaims | undefined {
  try {
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Partial<TokenClaims> | null
    return Number.isSafeInteger(claims?.tenant) ? (claims as TokenClaims) : undefined
  } catch {
    return undefined
  }
}
