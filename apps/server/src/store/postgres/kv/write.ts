import type { KvOutcome, KvWriteRequest } from '../../kv-port.ts'
import { requestKey } from '../../kv-rules.ts'
import type { Scope } from '../../ports.ts'
import { Bytes, columns, numbers, storable, texts } from '../arrays.ts'
import type { Context } from '../context.ts'
import type { Statement, Transaction } from '../database.ts'
import { type Pending, Pipeline } from '../pipeline.ts'
import { type HeldStore, KvPlan, type KvRow, type NewRow, needsRow, rowKey, type Task } from './plan.ts'

/** Writes of one batch at most, or as many as this many bytes stand for. */
const mostWrites = 2000
const bytesPerWrite = 4096

const addStores =
  'INSERT INTO millrace.kv_stores (tenant, namespace, name, created_at) SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING'
const holdStores = `
  SELECT s.tenant, s.store AS number, s.namespace, s.name, s.history, s.revision FROM unnest($1::int[], $2::text[], $3::text[]) AS i (tenant, namespace, name)
  JOIN millrace.kv_stores s ON s.name = i.name AND s.namespace = i.namespace AND s.tenant = i.tenant
  ORDER BY s.tenant, s.store FOR UPDATE OF s`
const readAnswers = `
  SELECT r.tenant, r.id, r.answer FROM unnest($1::int[], $2::text[]) AS i (tenant, id)
  JOIN millrace.answers r ON r.tenant = i.tenant AND r.id = i.id`
const readRows = `
  SELECT k.tenant, k.store, k.key, k.revision, k.type, k.value, k.content_type AS "contentType", k.expires_at AS "expiresAt", k.updated_at AS "updatedAt"
  FROM unnest($1::int[], $2::int[], $3::text[]) AS i (tenant, store, key)
  JOIN millrace.kv k ON k.tenant = i.tenant AND k.store = i.store AND k.key = i.key`

type PlacedRow = NewRow & { readonly start: number; readonly length: number }
const rows = columns<PlacedRow>({
  tenant: ['int', ({ store }) => store.tenant],
  store: ['int', ({ store }) => store.number],
  key: ['text', ({ key }) => key],
  revision: ['bigint', ({ revision }) => revision],
  type: ['smallint', ({ type }) => type],
  start: ['int', ({ start }) => start],
  length: ['int', ({ length }) => length],
  content_type: ['text', ({ contentType }) => storable(contentType)],
  expires_at: ['bigint', ({ expiresAt }) => expiresAt],
  updated_at: ['bigint', ({ updatedAt }) => updatedAt],
})
const fields = 'tenant, store, key, revision, type, value, content_type, expires_at, updated_at'
const insert = (table: string) => `
  INSERT INTO millrace.${table} (${fields})
  SELECT i.tenant, i.store, i.key, i.revision, i.type, CASE WHEN i.type = 1 THEN substring($1::bytea FROM i.start FOR i.length) END,
    i.content_type, i.expires_at, i.updated_at FROM ${rows.from('i', 2)}`
const putRows = `${insert('kv')} ON CONFLICT (tenant, store, key) DO UPDATE SET revision = excluded.revision, type = excluded.type,
  value = excluded.value, content_type = excluded.content_type, expires_at = excluded.expires_at, updated_at = excluded.updated_at`
const putVersions = insert('kv_versions')
const trimVersions = `
  DELETE FROM millrace.kv_versions v USING unnest($1::int[], $2::int[], $3::text[], $4::int[]) AS i (tenant, store, key, past)
  WHERE v.tenant = i.tenant AND v.store = i.store AND v.key = i.key AND v.revision <= (
    SELECT o.revision FROM millrace.kv_versions o WHERE o.tenant = i.tenant AND o.store = i.store AND o.key = i.key
    ORDER BY o.revision DESC OFFSET i.past LIMIT 1
  )`
const moveStores = `
  UPDATE millrace.kv_stores s SET revision = i.revision FROM unnest($1::int[], $2::int[], $3::bigint[]) AS i (tenant, store, revision)
  WHERE s.tenant = i.tenant AND s.store = i.store`
const putAnswers = `
  INSERT INTO millrace.answers (tenant, id, answer, created_at) SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[])`

const due: Statement = {
  name: 'kv_due',
  repeatable: true,
  text: `SELECT k.tenant, s.namespace, s.name, k.key FROM (
      SELECT tenant, store, key, expires_at FROM millrace.kv WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
    ) AS k JOIN millrace.kv_stores s ON s.tenant = k.tenant AND s.store = k.store ORDER BY k.expires_at`,
}

/** What became of a request. */
type Result = { readonly outcomes: readonly KvOutcome[] } | { readonly error: unknown }

/** Changes keys: requests that come together share a transaction, which holds the rows of their stores. */
export class KvWriter {
  readonly #context: Context
  readonly #pipeline: Pipeline<Task, readonly KvOutcome[]>
  /** Stores that are there. */
  readonly #known = new Set<string>()

  constructor(context: Context) {
    this.#context = context
    this.#pipeline = new Pipeline({
      run: (batch) => this.#run(batch),
      weigh: ({ writes }) => writes.reduce((sum, write) => sum + 1 + (write.type === 'set' ? write.value.length / bytesPerWrite : 0), 0),
      most: mostWrites,
      width: 2,
    })
  }

  write(request: KvWriteRequest): Promise<readonly KvOutcome[]> {
    return this.#pipeline.add(request)
  }

  async expire(now: number, limit: number): Promise<number> {
    const found = await this.#context.db.run<[number, string, string, string]>(due, [now, limit])
    const tasks = new Map<string, Task & { writes: { type: 'expire'; key: string }[] }>()
    for (const [tenant, namespace, store, key] of found) {
      const scope = { tenant, namespace }
      const at = nameKey(scope, store)
      const task = tasks.get(at) ?? { scope, store, writes: [], requestId: '', partial: false, now }
      task.writes.push({ type: 'expire', key })
      tasks.set(at, task)
    }
    await Promise.all([...tasks.values()].map((task) => this.#pipeline.add(task)))
    return found.length
  }

  close(): Promise<void> {
    return this.#pipeline.close()
  }

  /** Inside a transaction: carries out requests in turn; false when they changed nothing. */
  async apply(
    transaction: Transaction,
    tasks: readonly Task[],
  ): Promise<{ readonly results: readonly Result[]; readonly changed: boolean }> {
    const stores = await this.#hold(transaction, tasks)
    const plan = await this.#plan(transaction, tasks, stores)
    const results = tasks.map((task): Result => {
      try {
        return { outcomes: plan.add(task, stores.get(nameKey(task.scope, task.store))!) }
      } catch (error) {
        return { error }
      }
    })
    return { results, changed: await store(transaction, plan) }
  }

  /** After the commit of a change. */
  tell(tasks: readonly Task[]): void {
    const told = new Set<string>()
    for (const { scope, store } of tasks) {
      const at = nameKey(scope, store)
      if (told.has(at)) continue
      told.add(at)
      this.#context.touch('kv', scope, store)
    }
  }

  async #run(batch: readonly Pending<Task, readonly KvOutcome[]>[]): Promise<void> {
    const tasks = batch.map(({ request }) => request)
    const { results, changed } = await this.#context.db.transaction((transaction) => this.apply(transaction, tasks))
    for (const { scope, store } of tasks) this.#known.add(nameKey(scope, store))
    for (const [i, { resolve, reject }] of batch.entries()) {
      const result = results[i]!
      if ('error' in result) reject(result.error)
      else resolve(result.outcomes)
    }
    if (changed) this.tell(tasks)
  }

  async #hold(transaction: Transaction, tasks: readonly Task[]): Promise<Map<string, HeldStore>> {
    const wanted = new Map(tasks.map((task) => [nameKey(task.scope, task.store), task]))
    const unknown = [...wanted].filter(([at]) => !this.#known.has(at)).map(([, request]) => request)
    const names = (requests: readonly Task[]) => [
      numbers(requests.map(({ scope }) => scope.tenant)),
      texts(requests.map(({ scope }) => scope.namespace)),
      texts(requests.map((request) => request.store)),
    ]
    // In one order, so that two servers never wait for each other.
    unknown.sort((a, b) => (nameKey(a.scope, a.store) < nameKey(b.scope, b.store) ? -1 : 1))
    if (unknown.length > 0) await transaction.query(addStores, [...names(unknown), numbers(unknown.map(({ now }) => now))])
    const held = await transaction.query<HeldStore & Scope & { name: string }>(holdStores, names([...wanted.values()]))
    return new Map(held.map((store) => [nameKey(store, store.name), store]))
  }

  async #plan(transaction: Transaction, tasks: readonly Task[], stores: Map<string, HeldStore>): Promise<KvPlan> {
    const named = tasks.filter(({ requestId }) => requestId !== '')
    const known = new Map<string, string>()
    if (named.length > 0) {
      const ids = [numbers(named.map(({ scope }) => scope.tenant)), texts(named.map((task) => requestKey(task as KvWriteRequest)))]
      const answered = await transaction.query<{ tenant: number; id: string; answer: string }>(readAnswers, ids)
      for (const { tenant, id, answer } of answered) known.set(`${tenant} ${id}`, answer)
    }
    const wanted = new Map<string, { store: HeldStore; key: string }>()
    for (const task of tasks) {
      const store = stores.get(nameKey(task.scope, task.store))!
      for (const write of task.writes) if (needsRow(write, store)) wanted.set(rowKey(store, write.key), { store, key: write.key })
    }
    const current = new Map<string, NewRow>()
    if (wanted.size > 0) {
      const byNumber = new Map([...stores.values()].map((store) => [store.number, store]))
      const keys = [...wanted.values()]
      const found = await transaction.query<KvRow & { tenant: number; store: number }>(readRows, [
        numbers(keys.map(({ store }) => store.tenant)),
        numbers(keys.map(({ store }) => store.number)),
        texts(keys.map(({ key }) => key)),
      ])
      for (const row of found) {
        const store = byNumber.get(row.store)!
        current.set(rowKey(store, row.key), { ...row, store })
      }
    }
    return new KvPlan(current, known)
  }
}

/** Writes what was planned; false when that is nothing. */
async function store(transaction: Transaction, plan: KvPlan): Promise<boolean> {
  const { written, versions } = plan
  const remembered = [...plan.remembered.values()]
  if (remembered.length > 0) {
    await transaction.query(putAnswers, [
      numbers(remembered.map(({ tenant }) => tenant)),
      texts(remembered.map(({ id }) => id)),
      texts(remembered.map(({ answer }) => answer)),
      numbers(remembered.map(({ now }) => now)),
    ])
  }
  if (written.length === 0) return false
  if (versions.length > 0) {
    await putAll(transaction, putVersions, versions)
    await transaction.query(trimVersions, [
      numbers(versions.map(({ store }) => store.tenant)),
      numbers(versions.map(({ store }) => store.number)),
      texts(versions.map(({ key }) => key)),
      numbers(versions.map(({ store }) => store.history - 1)),
    ])
  }
  await putAll(transaction, putRows, written)
  const moved = [...new Set(written.map(({ store }) => store))]
  await transaction.query(moveStores, [
    numbers(moved.map(({ tenant }) => tenant)),
    numbers(moved.map(({ number }) => number)),
    numbers(moved.map(({ revision }) => revision)),
  ])
  return true
}

async function putAll(transaction: Transaction, statement: string, all: readonly NewRow[]): Promise<void> {
  const bytes = new Bytes()
  const placed = all.map((row): PlacedRow => ({ ...row, start: bytes.add(row.value ?? nothing), length: row.value?.length ?? 0 }))
  await transaction.query(statement, [bytes.all(), ...rows.values(placed)])
}

const nothing = new Uint8Array()

/** Names a store. */
function nameKey({ tenant, namespace }: Scope, name: string): string {
  return `${tenant} ${namespace} ${name}`
}
