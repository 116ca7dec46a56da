import type { KvChange, KvChangeType, KvEntry } from '../../kv-port.ts'

/** A row of `kv` or `kv_versions`, as far as it was asked for. */
export interface KvRow {
  readonly key: string
  readonly revision: number
  readonly type: KvChangeType
  readonly value?: Uint8Array | null
  readonly content_type: string
  readonly expires_at: number | null
  readonly updated_at: number
}

/** The columns of {@link KvRow}; the value comes last, so that it can be left out. */
export const narrow = 'key, revision, type, content_type, expires_at, updated_at'
/** All of them. */
export const columns = `${narrow}, value`

/** A row as the domain sees it. */
export function entryOf(row: KvRow): KvEntry {
  return {
    key: row.key,
    value: row.value ?? undefined,
    contentType: row.content_type,
    revision: row.revision,
    expiresAt: row.expires_at ?? undefined,
    updatedAt: row.updated_at,
  }
}

/** A row as a change. */
export function changeOf(row: KvRow): KvChange {
  return { type: row.type, entry: entryOf(row) }
}

/** True when the key is there: set, and its time is not over. */
export function isLive(row: KvRow, now: number): boolean {
  return row.type === 1 && (row.expires_at === null || row.expires_at > now)
}
