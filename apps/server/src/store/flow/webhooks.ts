import type { Scope } from '../ports.ts'
import type { DeliveryName, DeliveryOutcome, DeliveryRecord, WebhookHead, WebhookRecord, WebhookStorage } from '../webhook-port.ts'
import { type Program, query } from './program.ts'

interface WebhookRow {
  readonly tenant: number
  readonly namespace: string
  readonly name: string
  readonly url: string
  readonly events: number
  readonly functions: string
  readonly queues: string
  readonly secret: Uint8Array
  readonly old_secret: Uint8Array | null
  readonly old_until: number | null
  readonly created_at: number
  readonly disabled_at: number | null
  readonly disabled_why: string
  readonly failing_since: number | null
}

interface DeliveryRow extends Omit<DeliveryRecord, 'nextAt' | 'attemptedAt'> {
  readonly next_at: number | null
  readonly attempted_at: number | null
}

const ofWebhook = 'tenant = $1 AND namespace = $2 AND name = $3'
const ofDeliveries = 'tenant = $1 AND namespace = $2 AND webhook = $3'
const ofDelivery = `${ofDeliveries} AND seq = $4 AND revision = $5`
const deliveryColumns = 'seq, revision, event, at, data, state, attempts, next_at, attempted_at, code, answer, error'

type Run = <T>(program: Program<T>) => Promise<T>

/** Webhooks of a store. @param run - carries out a program that writes. @param read - one that does not. */
export function webhookStorage(run: Run, read: Run): WebhookStorage {
  return {
    create: (scope, webhook, now) =>
      run(
        found(
          `INSERT INTO millrace.webhooks (tenant, namespace, name, url, events, functions, queues, secret, created_at, disabled_why)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '') ON CONFLICT DO NOTHING RETURNING 1 AS one`,
          [
            ...names(scope, webhook.name),
            webhook.url,
            webhook.events,
            listOf(webhook.functions),
            listOf(webhook.queues),
            webhook.secret,
            now,
          ],
        ),
      ),
    async get(scope, name) {
      const [row] = await read(query<WebhookRow>(`SELECT * FROM millrace.webhooks WHERE ${ofWebhook}`, names(scope, name)))
      return row && webhookOf(row)
    },
    async list(scope, { limit, after }) {
      const sql = 'SELECT * FROM millrace.webhooks WHERE tenant = $1 AND namespace = $2 AND name > $3 ORDER BY name LIMIT $4'
      return (await read(query<WebhookRow>(sql, [...names(scope, after), limit]))).map(webhookOf)
    },
    update: (scope, name, { url, enabled }, now) =>
      run(
        found(
          `UPDATE millrace.webhooks SET url = coalesce(CAST($4 AS text), url),
            disabled_at = CASE CAST($5 AS int) WHEN 0 THEN coalesce(disabled_at, CAST($7 AS bigint)) WHEN 1 THEN NULL ELSE disabled_at END,
            disabled_why = CASE CAST($5 AS int) WHEN 0 THEN CAST($6 AS text) WHEN 1 THEN '' ELSE disabled_why END,
            failing_since = CASE CAST($5 AS int) WHEN 1 THEN NULL ELSE failing_since END
            WHERE ${ofWebhook} RETURNING 1 AS one`,
          [...names(scope, name), url ?? null, enabled ? Number(enabled.on) : null, enabled?.why ?? '', now],
        ),
      ),
    rotate: (scope, name, secret, oldUntil) =>
      run(
        found(`UPDATE millrace.webhooks SET old_secret = secret, old_until = $4, secret = $5 WHERE ${ofWebhook} RETURNING 1 AS one`, [
          ...names(scope, name),
          oldUntil,
          secret,
        ]),
      ),
    delete: (scope, name) => run(remove(scope, name)),
    add: (scope, webhook, { seq, revision, event, data }, now) =>
      run(
        found(
          `INSERT INTO millrace.webhook_deliveries (tenant, namespace, webhook, seq, revision, event, at, data, state, attempts, next_at, code, answer, error)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, 0, $9, 0, '', '') ON CONFLICT DO NOTHING RETURNING 1 AS one`,
          [...names(scope, webhook), seq, revision, event, now, data, now],
        ),
      ),
    async deliveries(scope, webhook, { limit, before }) {
      const sql = `SELECT ${deliveryColumns} FROM millrace.webhook_deliveries WHERE ${ofDeliveries} AND (at, seq, revision) < ($4, $5, $6)
        ORDER BY at DESC, seq DESC, revision DESC LIMIT $7`
      const { at, seq, revision } = before ?? { at: Number.MAX_SAFE_INTEGER, seq: 0, revision: 0 }
      return (await read(query<DeliveryRow>(sql, [...names(scope, webhook), at, seq, revision, limit]))).map(deliveryOf)
    },
    redeliver: (scope, webhook, { seq, revision }, now) =>
      run(
        found(`UPDATE millrace.webhook_deliveries SET state = 1, attempts = 0, next_at = $6 WHERE ${ofDelivery} RETURNING 1 AS one`, [
          ...names(scope, webhook),
          seq,
          revision,
          now,
        ]),
      ),
    async heads(limit) {
      const rows = await read(
        query<WebhookRow & { readonly first: number }>(
          `SELECT * FROM (
            SELECT w.*, (SELECT min(d.next_at) FROM millrace.webhook_deliveries d
              WHERE d.tenant = w.tenant AND d.namespace = w.namespace AND d.webhook = w.name AND d.next_at IS NOT NULL) AS first
            FROM millrace.webhooks w WHERE w.disabled_at IS NULL
          ) AS heads WHERE first IS NOT NULL ORDER BY first LIMIT $1`,
          [limit],
        ),
      )
      return rows.map(headOf)
    },
    async take(scope, webhook, { now, until, limit }) {
      const sql = `UPDATE millrace.webhook_deliveries SET attempts = attempts + 1, next_at = $5 WHERE ${ofDeliveries} AND next_at <= $4
        AND (seq, revision) IN (SELECT seq, revision FROM millrace.webhook_deliveries WHERE ${ofDeliveries} AND next_at <= $4
          ORDER BY next_at LIMIT $6)
        RETURNING ${deliveryColumns}`
      return (await run(query<DeliveryRow>(sql, [...names(scope, webhook), now, until, limit]))).map(deliveryOf)
    },
    giveBack: (scope, webhook, deliveries, now) => run(giveBack(scope, webhook, deliveries, now)),
    finish: (scope, webhook, outcome) => run(finish(scope, webhook, outcome)),
    async failing(scope, name, since) {
      const sql =
        since === undefined
          ? `UPDATE millrace.webhooks SET failing_since = NULL WHERE ${ofWebhook} RETURNING failing_since`
          : `UPDATE millrace.webhooks SET failing_since = coalesce(failing_since, $4) WHERE ${ofWebhook} RETURNING failing_since`
      const values = [...names(scope, name), ...(since === undefined ? [] : [since])]
      const [row] = await run(query<Pick<WebhookRow, 'failing_since'>>(sql, values))
      return row?.failing_since ?? undefined
    },
    async sweep(before, limit) {
      const gone = query(
        `DELETE FROM millrace.webhook_deliveries WHERE (tenant, namespace, webhook, seq, revision) IN
          (SELECT tenant, namespace, webhook, seq, revision FROM millrace.webhook_deliveries WHERE at < $1 ORDER BY at LIMIT $2) RETURNING 1 AS one`,
        [before, limit],
      )
      return (await run(gone)).length
    },
  }
}

const names = ({ tenant, namespace }: Scope, name: string) => [tenant, namespace, name] as const

/** Lists as the schemas' triggers look into them: a line for each, and one more before and after. */
const listOf = (list: readonly string[]) => (list.length === 0 ? '' : `\n${list.join('\n')}\n`)
const readList = (text: string) => text.split('\n').filter((line) => line !== '')

/** True when a statement concerned a row. */
function* found(...statement: Parameters<typeof query>): Program<boolean> {
  return (yield* query(...statement)).length > 0
}

/** The webhook first: from then on nothing is added. */
function* remove(scope: Scope, name: string): Program<boolean> {
  const gone = yield* query(`DELETE FROM millrace.webhooks WHERE ${ofWebhook} RETURNING 1 AS one`, names(scope, name))
  yield* query(`DELETE FROM millrace.webhook_deliveries WHERE ${ofDeliveries}`, names(scope, name))
  return gone.length > 0
}

function* giveBack(scope: Scope, webhook: string, deliveries: readonly DeliveryRecord[], now: number): Program<void> {
  const sql = `UPDATE millrace.webhook_deliveries SET attempts = attempts - 1, next_at = $7 WHERE ${ofDelivery} AND attempts = $6`
  for (const { seq, revision, attempts } of deliveries) yield* query(sql, [...names(scope, webhook), seq, revision, attempts, now])
}

function* finish(
  scope: Scope,
  webhook: string,
  { name, now, state, attempts, nextAt, code, answer, error }: DeliveryOutcome,
): Program<void> {
  yield* query(
    `UPDATE millrace.webhook_deliveries SET state = $7, next_at = $8, attempted_at = $9, code = $10, answer = $11, error = $12
      WHERE ${ofDelivery} AND attempts = $6`,
    [...names(scope, webhook), name.seq, name.revision, attempts, state, nextAt ?? null, now, code, answer, error],
  )
}

function webhookOf(row: WebhookRow): WebhookRecord {
  return {
    name: row.name,
    url: row.url,
    events: row.events,
    functions: readList(row.functions),
    queues: readList(row.queues),
    secret: row.secret,
    oldSecret: row.old_secret ?? undefined,
    oldUntil: row.old_until ?? undefined,
    createdAt: row.created_at,
    disabledAt: row.disabled_at ?? undefined,
    disabledWhy: row.disabled_why,
    failingSince: row.failing_since ?? undefined,
  }
}

function headOf(row: WebhookRow & { readonly first: number }): WebhookHead {
  return { scope: { tenant: row.tenant, namespace: row.namespace }, webhook: webhookOf(row), first: row.first }
}

function deliveryOf({ next_at, attempted_at, ...row }: DeliveryRow): DeliveryRecord & DeliveryName {
  return { ...row, nextAt: next_at ?? undefined, attemptedAt: attempted_at ?? undefined }
}
