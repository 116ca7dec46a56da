import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { PhaseName } from './options.ts'
import type { PhaseResult } from './phases/phase.ts'
import type { Sizes } from './sizes.ts'
import type { RedisAddress } from './systems/bullmq-client.ts'
import type { DatabaseAddress } from './systems/database.ts'
import type { MillraceAddress } from './systems/millrace-client.ts'

/** A server as its client sees it. */
interface ServerAt<Address> {
  /** Absent where the client works on the database itself. */
  readonly pid?: number
  readonly address: Address
}

interface Work {
  readonly phase: PhaseName
  readonly sizes: Sizes
  /** Of a phase that keeps its servers for all rounds. */
  readonly rounds: number
  /** Where the client's CPU profile goes; absent: none. */
  readonly profileFile?: string
  /** The Postgres under it all. */
  readonly database?: DatabaseAddress
}

/** What a driver process is to do. */
export type DriverOrder = Work &
  (
    | { readonly system: 'bullmq'; readonly servers: readonly ServerAt<RedisAddress>[] }
    | { readonly system: 'millrace'; readonly servers: readonly ServerAt<MillraceAddress>[] }
    | { readonly system: 'pg-boss'; readonly batches: boolean; readonly servers: readonly ServerAt<DatabaseAddress>[] }
    | { readonly system: 'graphile-worker'; readonly batches: boolean; readonly servers: readonly ServerAt<DatabaseAddress>[] }
  )

/** Runs one driver process. Throws when it ends without an answer; what it had to say is on stderr by then. */
export async function drive(order: DriverOrder, nodeOptions: readonly string[]): Promise<PhaseResult[]> {
  const driver = fork(fileURLToPath(new URL('./driver.ts', import.meta.url)), [JSON.stringify(order)], {
    execArgv: [...nodeOptions],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let answer: PhaseResult[] | undefined
  driver.on('message', (message) => {
    answer = message as PhaseResult[]
  })
  const [code, signal] = await once(driver, 'exit')
  if (answer === undefined || code !== 0)
    throw new Error(`the client of ${order.system} failed in ${order.phase} (${signal ?? `exit code ${code}`})`)
  return answer
}
