import { execFileSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AnalyticsBackend, DatabaseRef, SqlStatement } from '../../../domain/analytics/backend.ts'
import { openDuckdbBackend } from './backend.ts'

const mebibyte = 1024 ** 2

/** A backend in a directory of its own. */
export interface TestBackend extends AnalyticsBackend {
  readonly directory: string
}

/**
 * Opens a backend.
 *
 * @param cleanUp - takes what ends it: `afterAll`, or `onTestFinished`.
 */
export async function testBackend(
  cleanUp: (end: () => Promise<void>) => void,
  limits: { readonly memory?: number; readonly spill?: number } = {},
): Promise<TestBackend> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-analytics-'))
  const backend = await openDuckdbBackend({ directory, memory: 256 * mebibyte, threads: 2, spill: 64 * mebibyte, ...limits })
  cleanUp(async () => {
    await backend.close()
    await rm(directory, { recursive: true, force: true })
  })
  return Object.assign(backend, { directory })
}

/** The database of most tests. */
export const sales: DatabaseRef = { scope: { tenant: 1, namespace: 'default' }, name: 'sales' }
/** Nothing ends it. */
export const forever: AbortSignal = new AbortController().signal

/** A statement as the service reads it. */
export function statement(sql: string, parameters?: unknown): SqlStatement {
  return { sql, parameters: parameters === undefined ? '' : JSON.stringify(parameters), path: 'sql' }
}

/** A query's rows, as lists. */
export async function rowsOf(backend: AnalyticsBackend, sql: string, parameters?: unknown): Promise<unknown[][]> {
  const { rows, values } = await backend.query(sales, statement(sql, parameters), { limit: 1000, bytes: 1e6 }, forever)
  const columns = JSON.parse(Buffer.from(values).toString()) as unknown[][]
  return Array.from({ length: rows }, (_, row) => columns.map((column) => column[row]))
}

/** The processes that run DuckDB for a backend: those of this one whose working directory is the backend's. */
export function hostsOf(directory: string): number[] {
  const pids = execFileSync('pgrep', ['-P', String(process.pid)], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map(Number)
  return pids.filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === directory
    } catch {
      // It is gone: pgrep itself, for one.
      return false
    }
  })
}
