import { MillraceError } from '../errors.ts'
import type { Call } from './call.ts'
import type { Checks } from './checks.ts'
import { limits } from './limits.ts'

/** Whom a call acts as. A token made for a user is that user, whatever the request says. */
export function readUser(checks: Checks, asUser: string, { principal: { user } }: Call): string {
  checks.text('asUser', asUser, limits.text)
  if (user !== '' && asUser !== '' && asUser !== user) checks.fail('asUser', 'is another user than the one that the token is for')
  if (asUser.includes('\0')) checks.fail('asUser', 'contains a zero byte')
  return user || asUser
}

/** SQL acts as the owner of all tables: a user's token must not. */
export function refuseUser(user: string): void {
  if (user !== '')
    throw new MillraceError('PERMISSION_DENIED', 'A token that is for a user may not run SQL of its own.', { requiredScope: 'tables:sql' })
}
