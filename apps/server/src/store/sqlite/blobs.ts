import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Seq, TenantId } from '../ports.ts'

/** Larger payloads and results live outside the job's row. A quarter of a page: larger rows would spill to overflow pages anyway. */
const inlineBytes = 2048

/** What a blob is of a job. */
export const BlobKind = { payload: 0, result: 1 } as const
export type BlobKind = (typeof BlobKind)[keyof typeof BlobKind]

/** Payloads and results that are too large for the job's row, which holds NULL in their place. */
export class Blobs {
  readonly #insert: StatementSync
  readonly #select: StatementSync
  readonly #delete: StatementSync

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT OR REPLACE INTO blobs (tenant, seq, kind, data) VALUES (?, ?, ?, ?)')
    this.#select = db.prepare('SELECT data FROM blobs WHERE tenant = ? AND seq = ? AND kind = ?')
    this.#delete = db.prepare('DELETE FROM blobs WHERE tenant = ? AND seq = ?')
  }

  /** Inside a mutation: the value for the job's row. */
  store(tenant: TenantId, seq: Seq, kind: BlobKind, data: Uint8Array): Uint8Array | null {
    if (data.length <= inlineBytes) return data
    this.#insert.run(tenant, seq, kind, data)
    return null
  }

  /** The bytes, given what the job's row holds. */
  load(tenant: TenantId, seq: Seq, kind: BlobKind, inline: Uint8Array | null): Uint8Array {
    if (inline !== null) return inline
    const row = this.#select.get(tenant, seq, kind)
    return (row?.data as Uint8Array | undefined) ?? empty
  }

  /** Inside a mutation: forgets a job's blobs. */
  delete(tenant: TenantId, seq: Seq): void {
    this.#delete.run(tenant, seq)
  }
}

const empty = new Uint8Array()
