import type { Scope } from '../../ports.ts'
import { noStream, shareOut } from '../../stream-rules.ts'
import { numbers, texts } from '../arrays.ts'
import type { Context } from '../context.ts'
import type { Statement, Transaction } from '../database.ts'

const due: Statement = {
  name: 'stream_members_due',
  repeatable: true,
  text: `SELECT m.tenant, s.namespace, s.name, m.member_group, m.member FROM (
      SELECT * FROM millrace.stream_members WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
    ) AS m JOIN millrace.streams s ON s.tenant = m.tenant AND s.stream = m.stream WHERE s.name IS NOT NULL`,
}
const renew: Statement = {
  name: 'stream_member_renew',
  repeatable: true,
  text: `UPDATE millrace.stream_members m SET expires_at = $6 FROM millrace.streams s
    WHERE s.tenant = $1 AND s.namespace = $2 AND s.name = $3 AND m.tenant = s.tenant AND m.stream = s.stream AND m.member_group = $4 AND m.member = $5
    RETURNING 1`,
}
const owners: Statement = {
  name: 'stream_owners',
  repeatable: true,
  text: 'SELECT partition, owner FROM millrace.stream_offsets WHERE tenant = $1 AND stream = $2 AND member_group = $3 AND owner IS NOT NULL',
}
const groupsOf: Statement = {
  name: 'stream_groups',
  repeatable: true,
  text: `SELECT DISTINCT m.member_group FROM millrace.streams s JOIN millrace.stream_members m ON m.tenant = s.tenant AND m.stream = s.stream
    WHERE s.tenant = $1 AND s.namespace = $2 AND s.name = $3`,
}

/** Who of a group has which partition. Who shares them out holds the stream's row. */
export class Groups {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async join(scope: Scope, stream: string, group: string, member: string, until: number): Promise<void> {
    const known = await this.#context.db.run(renew, [scope.tenant, scope.namespace, stream, group, member, until])
    if (known.length > 0) return
    const { sequence, nodes } = this.#context
    await nodes.reserve(1)
    await this.#change(scope, stream, group, async (transaction, number) => {
      await transaction.query(
        `INSERT INTO millrace.stream_members (tenant, stream, member_group, member, seq, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant, stream, member_group, member) DO UPDATE SET expires_at = excluded.expires_at`,
        [scope.tenant, number, group, member, sequence.next(), until],
      )
    })
  }

  leave(scope: Scope, stream: string, group: string, member: string): Promise<void> {
    return this.#change(scope, stream, group, async (transaction, number) => {
      await transaction.query(
        'DELETE FROM millrace.stream_members WHERE tenant = $1 AND stream = $2 AND member_group = $3 AND member = $4',
        [scope.tenant, number, group, member],
      )
    })
  }

  async expire(now: number, limit: number): Promise<number> {
    const found = await this.#context.db.run<[number, string, string, string, string]>(due, [now, limit])
    for (const [tenant, namespace, stream, group, member] of found) {
      // One that was heard of meanwhile stays.
      await this.#change({ tenant, namespace }, stream, group, async (transaction, number) => {
        await transaction.query(
          'DELETE FROM millrace.stream_members WHERE tenant = $1 AND stream = $2 AND member_group = $3 AND member = $4 AND expires_at <= $5',
          [tenant, number, group, member, now],
        )
      })
    }
    return found.length
  }

  async owners(tenant: number, stream: number, group: string, partitions: number): Promise<(string | undefined)[]> {
    const found: (string | undefined)[] = Array.from({ length: partitions })
    for (const [partition, owner] of await this.#context.db.run<[number, string]>(owners, [tenant, stream, group])) found[partition] = owner
    return found
  }

  /** Shares a stream's partitions anew in every group that has members. */
  async shareAll(scope: Scope, stream: string): Promise<void> {
    const groups = await this.#context.db.run<[string]>(groupsOf, [scope.tenant, scope.namespace, stream])
    for (const [group] of groups) await this.#change(scope, stream, group, async () => {})
  }

  async #change(
    scope: Scope,
    name: string,
    group: string,
    change: (transaction: Transaction, stream: number) => Promise<void>,
  ): Promise<void> {
    await this.#context.db.transaction(async (transaction) => {
      const [held] = await transaction.query<{ stream: number }>(
        'SELECT stream FROM millrace.streams WHERE tenant = $1 AND namespace = $2 AND name = $3 FOR UPDATE',
        [scope.tenant, scope.namespace, name],
      )
      if (!held) throw noStream(name)
      const { stream } = held
      await change(transaction, stream)
      const of = [scope.tenant, stream, group]
      const before = await transaction.query<{ owner: string | null }>(
        `SELECT o.owner FROM millrace.stream_partitions p LEFT JOIN millrace.stream_offsets o
           ON o.tenant = p.tenant AND o.stream = p.stream AND o.member_group = $3 AND o.partition = p.partition
         WHERE p.tenant = $1 AND p.stream = $2 ORDER BY p.partition`,
        of,
      )
      const members = await transaction.query<{ member: string }>(
        'SELECT member FROM millrace.stream_members WHERE tenant = $1 AND stream = $2 AND member_group = $3 ORDER BY seq',
        of,
      )
      const after = shareOut(
        before.map(({ owner }) => owner ?? undefined),
        members.map(({ member }) => member),
      )
      await transaction.query(
        `INSERT INTO millrace.stream_offsets (tenant, stream, member_group, partition, committed, updated_at, owner)
         SELECT $1, $2, $3, i.partition, -1, 0, i.owner FROM unnest($4::int[], $5::text[]) AS i (partition, owner)
         ON CONFLICT (tenant, stream, member_group, partition) DO UPDATE SET owner = excluded.owner`,
        [...of, numbers(after.map((_, partition) => partition)), texts(after)],
      )
    })
    this.#context.touch('group', scope, `${name} ${group}`)
  }
}
