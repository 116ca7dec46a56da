import { MillraceError } from '../errors.ts'
import { isName } from '../services/checks.ts'
import type { Header } from './api-key.ts'

/** The header that names the namespace. */
const namespaceHeader = 'millrace-namespace'

/**
 * The namespace a call acts in; `default` when the caller names none.
 *
 * @throws VALIDATION
 */
export function namespaceOf(header: Header): string {
  const name = header(namespaceHeader)
  if (!name) return 'default'
  if (isName(name)) return name
  const message = 'is not a name; give 1 to 255 characters of A-Z a-z 0-9 . _ : / -'
  throw new MillraceError('VALIDATION', `The header ${namespaceHeader} ${message}`, { fields: [{ path: namespaceHeader, message }] })
}
