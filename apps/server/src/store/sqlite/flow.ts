import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { depart } from '../flow/flows.ts'
import type { Program } from '../flow/program.ts'
import { JobState, type Seq, type TenantId } from '../ports.ts'
import type { Context } from './context.ts'
import type { LaneEntry } from './lanes.ts'

/** Carries out the programs of `store/flow` inside mutations and reads. */
export class Flow {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  run<T>(program: Program<T>): T {
    let step = program.next([])
    while (!step.done) step = program.next(this.#prepared(step.value.sql).all(...step.value.values))
    return step.value
  }

  #prepared(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known) return known
    const statement = this.#db.prepare(sql.replaceAll('millrace.', '').replaceAll(/\$(\d+)/g, '?$1'))
    this.#statements.set(sql, statement)
    return statement
  }
}

/** Lets jobs begin that waited for others. */
export class Admission {
  readonly #context: Context
  readonly #admit: StatementSync

  constructor(context: Context) {
    this.#context = context
    this.#admit = context.db.prepare(`UPDATE jobs SET state = ${JobState.pending}, updated_at = ?, revision = revision + 1
      WHERE tenant = ? AND seq = ? RETURNING lane`)
  }

  /** Inside a mutation: a job that held a place has ended. @param touched - gets the lanes of those that may begin now. */
  ended(tenant: TenantId, seq: Seq, now: number, touched: Set<LaneEntry>): void {
    for (const next of this.#context.flow.run(depart(tenant, seq))) {
      const lane = this.#context.lanes.lane(Number(this.#admit.get(now, tenant, next)!.lane))
      this.#context.lanes.move(lane, 'blocked', 'pending')
      this.#context.changed(tenant, next, JobState.pending, 'other')
      touched.add(lane)
    }
  }
}
