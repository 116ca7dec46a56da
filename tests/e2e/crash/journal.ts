import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** What a job of the crash test is to do. */
export type Plan =
  /** Complete at once. */
  | 'ok'
  /** Fail the first attempt, then complete. */
  | 'flaky'
  /** Fail every attempt. */
  | 'dead'
  /** Work longer than a lease, then complete. */
  | 'slow'
  /** Wait to be cancelled. */
  | 'cancel'
  /** Stay in hand until the test pauses the worker past its lease; then try every late call. */
  | 'late'

/** Payload of a job of the crash test. */
export interface Payload {
  /** Names the submission; no two have the same. */
  readonly n: string
  readonly plan: Plan
  /** Of a stateful task: the state that it adds its name to. */
  readonly key?: string
}

/** Result of a job of the crash test: who completed it, under which lease, and proof of the work. */
export interface Result {
  readonly n: string
  readonly hash: string
  readonly attempt: number
  /** '' when the worker's API does not show it. */
  readonly token: string
}

/** Attempts of a job that is to fail. */
export const deadAttempts = 3

interface Delivery {
  readonly id: string
  readonly attempt: number
  readonly token: string
  readonly worker: string
}

/** A fact that a process saw. */
export type Fact = { readonly at: number } & (
  | { readonly type: 'submitted'; readonly id: string; readonly n: string; readonly plan: Plan; readonly key?: string }
  | { readonly type: 'cancelled'; readonly id: string }
  | ({ readonly type: 'effect'; readonly n: string } & Delivery)
  | ({ readonly type: 'acknowledged'; readonly action: 'complete' | 'fail' | 'renew' } & Delivery)
  | ({ readonly type: 'refused'; readonly action: 'complete' | 'fail' | 'renew'; readonly code: string } & Delivery)
  | ({ readonly type: 'aborted' } & Delivery)
  | { readonly type: 'terminal'; readonly id: string; readonly state: string; readonly attempts: number }
  | { readonly type: 'server-down' }
  | { readonly type: 'server-up'; readonly readyMs: number }
  /** Something else was broken from then on, and until it healed. */
  | { readonly type: 'fault' | 'healed'; readonly what: string }
  | { readonly type: 'worker-lost'; readonly worker: string }
)

type WithoutTime<T> = T extends unknown ? Omit<T, 'at'> : never

/** Writes facts down so that they survive a kill of this process. */
export interface Journal {
  write(fact: WithoutTime<Fact>): void
  close(): void
}

/**
 * Opens a journal. Each fact is one `write` call, in the kernel's hands when it returns: killing the process cannot lose it.
 *
 * @param folder - where all journals of a run are.
 * @param name - this process's file.
 */
export function openJournal(folder: string, name: string): Journal {
  const file = openSync(join(folder, `${name}.jsonl`), 'a')
  return {
    write: (fact) => {
      writeSync(file, `${JSON.stringify({ at: Date.now(), ...fact })}\n`)
    },
    close: () => closeSync(file),
  }
}

/** Reads all journals of a folder, in order of time. A line cut off by a kill counts as not written. */
export function readJournals(folder: string): Fact[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .flatMap((name) => {
      const lines = readFileSync(join(folder, name), 'utf8').split('\n')
      lines.pop() // '' after the last whole line, or a line that was cut off
      return lines.map((line) => JSON.parse(line) as Fact)
    })
    .sort((a, b) => a.at - b.at)
}
