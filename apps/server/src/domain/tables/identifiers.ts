import { createHash } from 'node:crypto'
import { invalid } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'

/** Bytes of a name in Postgres; longer ones it would cut, and so take one name for another. */
const mostBytes = 63

/**
 * A name as it stands in SQL, with quotes around it: whatever it contains, it is one name, spelled exactly so.
 *
 * @param path - the field it came in, for the error.
 * @throws VALIDATION
 */
export function quoteIdentifier(path: string, name: string): string {
  if (name === '') throw invalid(path, 'is empty; give the name of a table, column or function')
  if (Buffer.byteLength(name) > mostBytes) throw invalid(path, `has more than ${mostBytes} bytes, which no name in Postgres has`)
  if (name.includes('\0')) throw invalid(path, 'contains a zero byte, which no name in Postgres does')
  return quoted(name)
}

/** A name known to be one, with quotes around it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * The name of a namespace's schema and role. A hash stands for the namespace, whose name may be longer and have any case.
 *
 * @param installation - tells the roles of several databases of one Postgres apart.
 */
export function schemaOf(installation: string, { tenant, namespace }: Scope): string {
  return `mr_${installation}_${tenant}_${createHash('sha256').update(namespace).digest('hex').slice(0, 16)}`
}
