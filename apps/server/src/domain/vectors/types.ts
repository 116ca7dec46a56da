import type { Condition } from '../tables/conditions.ts'

/** How nearness is measured. */
export type Metric = 'cosine' | 'l2' | 'inner_product'

/** A collection's settings. */
export interface Collection {
  readonly name: string
  /** Numbers in each vector. */
  readonly dimension: number
  readonly metric: Metric
  /** Its index (HNSW); undefined: none. */
  readonly index: { readonly m: number; readonly efConstruction: number } | undefined
  /** A text search configuration of Postgres. */
  readonly language: string
  /** Milliseconds since 1970. */
  readonly createdAt: number
}

/** An item of a collection. */
export interface Item {
  readonly id: string
  /** As Postgres reads and writes it, `[1,2.5]`; undefined where it was not asked for. */
  readonly vector: string | undefined
  readonly text: string
  /** A JSON object. */
  readonly metadata: string
}

/** An item that a search found. */
export interface Match {
  readonly item: Item
  /** More is nearer. */
  readonly score: number
}

/** What a search looks for. */
export interface Search {
  /** As Postgres reads it, `[1,2.5]`. */
  readonly vector: string
  /** Numbers in `vector`. */
  readonly dimension: number
  readonly limit: number
  readonly where: Condition | undefined
  /** Only items with at least this score. */
  readonly threshold: number | undefined
  /** Candidates that the index looks at. */
  readonly candidates: number
  readonly withVectors: boolean
}

/** What a search by text and vector looks for. */
export interface HybridSearch extends Omit<Search, 'threshold'> {
  readonly text: string
  readonly textWeight: number
  readonly vectorWeight: number
  readonly fusion: 'weights' | 'rrf'
}
