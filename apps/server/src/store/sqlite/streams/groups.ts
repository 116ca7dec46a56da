import type { StatementSync } from 'node:sqlite'
import { shareOut } from '../../stream-rules.ts'
import type { Context } from '../context.ts'
import type { Registry, StreamEntry } from './registry.ts'

/** Who of a group has which partition. */
export class Groups {
  readonly #context: Context
  readonly #registry: Registry
  readonly #members: StatementSync
  readonly #renew: StatementSync
  readonly #add: StatementSync
  readonly #remove: StatementSync
  readonly #due: StatementSync
  readonly #owners: StatementSync
  readonly #own: StatementSync

  constructor(context: Context, registry: Registry) {
    this.#context = context
    this.#registry = registry
    const { db } = context
    // Members are calls of a server, and there is no other one: those of its last life are gone.
    db.exec('DELETE FROM stream_members')
    const member = 'tenant = ? AND stream = ? AND member_group = ? AND member = ?'
    this.#members = db.prepare('SELECT member FROM stream_members WHERE tenant = ? AND stream = ? AND member_group = ? ORDER BY seq')
    this.#renew = db.prepare(`UPDATE stream_members SET expires_at = ? WHERE ${member}`)
    this.#add = db.prepare('INSERT INTO stream_members (tenant, stream, member_group, member, seq, expires_at) VALUES (?, ?, ?, ?, ?, ?)')
    this.#remove = db.prepare(`DELETE FROM stream_members WHERE ${member}`)
    this.#due = db.prepare('SELECT stream, member_group, member FROM stream_members WHERE expires_at <= ? LIMIT ?')
    this.#owners = db.prepare('SELECT partition, owner FROM stream_offsets WHERE tenant = ? AND stream = ? AND member_group = ?')
    this.#own = db.prepare(`INSERT INTO stream_offsets (tenant, stream, member_group, partition, committed, updated_at, owner)
      VALUES (?, ?, ?, ?, -1, 0, ?) ON CONFLICT DO UPDATE SET owner = excluded.owner`)
  }

  /** Inside a mutation. */
  join(stream: StreamEntry, group: string, member: string, until: number): void {
    const { tenant, number } = stream
    if (this.#renew.run(until, tenant, number, group, member).changes > 0) return
    this.#add.run(tenant, number, group, member, this.#context.sequence.next(), until)
    this.#share(stream, group)
  }

  /** Inside a mutation. */
  leave(stream: StreamEntry, group: string, member: string): void {
    if (this.#remove.run(stream.tenant, stream.number, group, member).changes > 0) this.#share(stream, group)
  }

  /** Inside a mutation. */
  expire(now: number, limit: number): number {
    const rows = this.#due.all(now, limit)
    for (const row of rows) {
      const stream = this.#registry.numbered(Number(row.stream))
      if (stream) this.leave(stream, String(row.member_group), String(row.member))
    }
    return rows.length
  }

  owners(stream: StreamEntry, group: string): (string | undefined)[] {
    const owners: (string | undefined)[] = stream.partitions.map(() => undefined)
    for (const row of this.#owners.all(stream.tenant, stream.number, group)) {
      owners[Number(row.partition)] = row.owner === null ? undefined : String(row.owner)
    }
    return owners
  }

  /** Inside a mutation: shares a stream's partitions anew in every group that has members. */
  shareAll(stream: StreamEntry): void {
    const groups = this.#context.db.prepare('SELECT DISTINCT member_group FROM stream_members WHERE tenant = ? AND stream = ?')
    for (const row of groups.all(stream.tenant, stream.number)) this.#share(stream, String(row.member_group))
  }

  #share(stream: StreamEntry, group: string): void {
    const { tenant, namespace, number, name } = stream
    const members = this.#members.all(tenant, number, group).map((row) => String(row.member))
    const before = this.owners(stream, group)
    for (const [partition, owner] of shareOut(before, members).entries()) {
      if (owner !== before[partition]) this.#own.run(tenant, number, group, partition, owner ?? null)
    }
    if (name === undefined) return
    this.#context.writer.afterwards(() => this.#registry.listener.regrouped({ tenant, namespace, stream: name }, group))
  }
}
