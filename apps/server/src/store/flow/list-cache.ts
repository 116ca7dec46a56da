import type { Content, Seq, TenantId } from '../ports.ts'

/** The results of a list together: their bytes, and what they make as one when it was asked for. */
export interface KnownList {
  readonly size: number
  readonly result?: Content
}

/** Which list. A stage that is done keeps its results; one that was done in a transaction that failed is done at another time. */
export interface ListName {
  readonly tenant: TenantId
  readonly pipeline: Seq
  readonly stage: number
  readonly finishedAt: number
}

/** Bytes kept at most: two lists of the largest size. */
const mostBytes = 32 * 1024 * 1024
/** What an entry takes beside its result, about. */
const entryBytes = 256

/**
 * Lists of results that were used lately. Each item of a stage that runs for each item of another's list is given that list: without
 * this, the server would put it together as often as it has items.
 */
export class ListCache {
  readonly #lists = new Map<string, KnownList>()
  #bytes = 0

  get(name: ListName): KnownList | undefined {
    const key = keyOf(name)
    const list = this.#lists.get(key)
    if (!list) return undefined
    // The order is that of use.
    this.#lists.delete(key)
    this.#lists.set(key, list)
    return list
  }

  set(name: ListName, list: KnownList): void {
    this.#drop(keyOf(name))
    this.#lists.set(keyOf(name), list)
    this.#bytes += bytesOf(list)
    for (const oldest of this.#lists.keys()) {
      if (this.#bytes <= mostBytes) break
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    const list = this.#lists.get(key)
    if (!list) return
    this.#lists.delete(key)
    this.#bytes -= bytesOf(list)
  }
}

function keyOf({ tenant, pipeline, stage, finishedAt }: ListName): string {
  return `${tenant} ${pipeline} ${stage} ${finishedAt}`
}

function bytesOf({ result }: KnownList): number {
  return entryBytes + (result?.data.length ?? 0)
}
