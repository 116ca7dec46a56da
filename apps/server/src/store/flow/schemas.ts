import { MillraceError } from '../../errors.ts'
import type { Scope } from '../ports.ts'
import {
  type Compatibility,
  mostSchemaAttachments,
  type SchemaAttachment,
  type SchemaRecord,
  type SchemaStorage,
  type SchemaTarget,
} from '../schema-port.ts'
import { type Program, query } from './program.ts'

interface SchemaRow {
  readonly name: string
  readonly version: number
  readonly definition: string
  readonly compatibility: Compatibility
  readonly created_at: number
}

interface AttachmentRow {
  readonly kind: number
  readonly target: string
  readonly name: string
  readonly version: number
  readonly current: number
  readonly attached_at: number
}

const kinds = ['stream', 'queue'] as const
const ofSchema = 'tenant = $1 AND namespace = $2 AND name = $3'
const ofTarget = 'tenant = $1 AND namespace = $2 AND kind = $3 AND target = $4'
const names = ({ tenant, namespace }: Scope, name: string) => [tenant, namespace, name] as const
const places = ({ tenant, namespace }: Scope, { kind, name }: SchemaTarget) => [tenant, namespace, kinds.indexOf(kind), name] as const

/** Carries out a program in one transaction, anew where somebody else's stands in its way. */
type Change = <T>(program: () => Program<T>) => Promise<T>

type Run = <T>(program: Program<T>) => Promise<T>

/**
 * Schemas of a store.
 *
 * @param run - carries out a program that writes, in one transaction.
 * @param read - carries out one that does not.
 * @param tell - tells the other servers that the schemas of a namespace changed.
 * @param listen - hears what they tell.
 */
export function schemaStorage(run: Change, read: Run, tell: (scope: Scope) => void, listen: SchemaStorage['listen']): SchemaStorage {
  const told = async <T>(scope: Scope, change: Promise<T>): Promise<T> => {
    const result = await change
    tell(scope)
    return result
  }
  return {
    add: (scope, { name, version, definition, compatibility }, now) =>
      told(
        scope,
        run(() =>
          found(
            `INSERT INTO millrace.schemas (tenant, namespace, name, version, definition, compatibility, created_at)
              VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING 1 AS one`,
            [...names(scope, name), version, definition, compatibility, now],
          ),
        ),
      ),
    async setCompatibility(scope, name, version, compatibility) {
      const sql = `UPDATE millrace.schemas SET compatibility = $5 WHERE ${ofSchema} AND version = $4 RETURNING 1 AS one`
      await run(() => found(sql, [...names(scope, name), version, compatibility]))
    },
    async get(scope, name, version) {
      const which = version === undefined ? 'ORDER BY version DESC LIMIT 1' : 'AND version = $4'
      const values = [...names(scope, name), ...(version === undefined ? [] : [version])]
      const [row] = await read(query<SchemaRow>(`SELECT * FROM millrace.schemas WHERE ${ofSchema} ${which}`, values))
      return row && schemaOf(row)
    },
    async list(scope, { limit, after }) {
      const sql = `SELECT * FROM millrace.schemas s WHERE tenant = $1 AND namespace = $2 AND name > $3
        AND version = (SELECT max(version) FROM millrace.schemas WHERE tenant = s.tenant AND namespace = s.namespace AND name = s.name)
        ORDER BY name LIMIT $4`
      return (await read(query<SchemaRow>(sql, [...names(scope, after), limit]))).map(schemaOf)
    },
    async versions(scope, name) {
      const rows = await read(query<SchemaRow>(`SELECT * FROM millrace.schemas WHERE ${ofSchema} ORDER BY version`, names(scope, name)))
      return rows.map(schemaOf)
    },
    delete: (scope, name) =>
      told(
        scope,
        run(() => remove(scope, name)),
      ),
    attach: (scope, target, schema, version, now) =>
      told(
        scope,
        run(() => attach(scope, target, schema, version, now)),
      ),
    detach: (scope, target) =>
      told(
        scope,
        run(() => found(`DELETE FROM millrace.schema_attachments WHERE ${ofTarget} RETURNING 1 AS one`, places(scope, target))),
      ),
    async attachments({ tenant, namespace }) {
      const sql = `SELECT a.*, CASE WHEN a.version > 0 THEN a.version ELSE
          (SELECT max(s.version) FROM millrace.schemas s WHERE s.tenant = a.tenant AND s.namespace = a.namespace AND s.name = a.name) END AS current
        FROM millrace.schema_attachments a WHERE a.tenant = $1 AND a.namespace = $2 ORDER BY a.kind, a.target`
      return (await read(query<AttachmentRow>(sql, [tenant, namespace]))).map(attachmentOf)
    },
    listen,
  }
}

/** True when a statement concerned a row. */
function* found(...statement: Parameters<typeof query>): Program<boolean> {
  return (yield* query(...statement)).length > 0
}

/** Whoever deletes or attaches a schema holds its first version meanwhile, so that nothing is attached to what is deleted. */
function hold(scope: Scope, name: string): Program<boolean> {
  return found(`UPDATE millrace.schemas SET name = name WHERE ${ofSchema} AND version = 1 RETURNING 1 AS one`, names(scope, name))
}

function* remove(scope: Scope, name: string): Program<'deleted' | 'missing' | 'attached'> {
  if (!(yield* hold(scope, name))) return 'missing'
  const attached = yield* query(`SELECT 1 AS one FROM millrace.schema_attachments WHERE ${ofSchema} LIMIT 1`, names(scope, name))
  if (attached.length > 0) return 'attached'
  yield* query(`DELETE FROM millrace.schemas WHERE ${ofSchema}`, names(scope, name))
  return 'deleted'
}

function* attach(scope: Scope, target: SchemaTarget, schema: string, version: number, now: number): Program<boolean> {
  if (!(yield* hold(scope, schema))) return false
  const exists = `SELECT 1 AS one FROM millrace.schemas WHERE ${ofSchema} AND version = $4`
  if (version > 0 && !(yield* found(exists, [...names(scope, schema), version]))) return false
  yield* query(
    `INSERT INTO millrace.schema_attachments (tenant, namespace, kind, target, name, version, attached_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
      ON CONFLICT (tenant, namespace, kind, target) DO UPDATE SET name = excluded.name, version = excluded.version, attached_at = excluded.attached_at`,
    [...places(scope, target), schema, version, now],
  )
  const counting = 'SELECT count(*) AS number FROM millrace.schema_attachments WHERE tenant = $1 AND namespace = $2'
  const [count] = yield* query<{ readonly number: number }>(counting, [scope.tenant, scope.namespace])
  if (Number(count!.number) > mostSchemaAttachments) {
    throw new MillraceError(
      'QUOTA_EXCEEDED',
      `A namespace has schemas on at most ${mostSchemaAttachments} streams and queues: detach one, or use another namespace.`,
      { quota: { type: 'schema_attachments', current: mostSchemaAttachments, limit: mostSchemaAttachments } },
    )
  }
  return true
}

function schemaOf({ name, version, definition, compatibility, created_at }: SchemaRow): SchemaRecord {
  return { name, version, definition, compatibility, createdAt: created_at }
}

function attachmentOf({ kind, target, name, version, current, attached_at }: AttachmentRow): SchemaAttachment {
  return { kind: kinds[kind]!, name: target, schema: name, version, current, attachedAt: attached_at }
}
