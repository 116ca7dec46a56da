import type { CallOptions } from '../options.ts'
import type { RowFilter } from '../tables/types.ts'

/**
 * How the nearness of two vectors is measured, and what the score of a match is (more is nearer).
 *
 * - `cosine`: the angle between them: 1 for the same direction, 0 for right angles, -1 for opposite ones.
 * - `l2`: the straight distance d between their ends, as 1 / (1 + d).
 * - `innerProduct`: their inner product.
 */
export type VectorMetric = 'cosine' | 'l2' | 'innerProduct'

/** Settings of an approximate index (HNSW: Malkov and Yashunin, 2018). */
export interface VectorIndex {
  /** Links of each item: 2 to 100. Default 16. More find better, take more memory and time. */
  readonly m?: number
  /** Candidates looked at while building: 4 to 1,000, at least 2 `m`. Default 64. */
  readonly efConstruction?: number
}

/** How a collection is made. */
export interface CreateVectorsOptions {
  /** Numbers in each vector: 1 to 2,000, up to 16,000 without an index. */
  readonly dimension: number
  /** How nearness is measured. Default `cosine`. */
  readonly metric?: VectorMetric
  /** Settings of the index; `false`: none, each search looks at every item and finds the very nearest. */
  readonly index?: VectorIndex | false
  /** The language of its texts, as Postgres names its text search configurations: `english`, `german`. Default `simple`. */
  readonly language?: string
}

/** A collection of vectors. */
export interface VectorCollectionInfo {
  /** Its name. */
  readonly name: string
  /** Numbers in each vector. */
  readonly dimension: number
  /** How nearness is measured. */
  readonly metric: VectorMetric
  /** Its index; absent: none. */
  readonly index?: Required<VectorIndex>
  /** The language of its texts. */
  readonly language: string
  /** When it was made. */
  readonly createdAt: Date
}

/** The numbers of a vector; they are kept with 32 bits each. */
export type VectorValue = readonly number[] | Float32Array

/** What is put into a collection. */
export interface NewVector<M extends object = Record<string, unknown>> {
  /** Its name within the collection: 1 to 512 bytes without control characters. Default: one is made. */
  readonly id?: string
  /** Its vector. */
  readonly vector: VectorValue
  /** Its text, for hybrid search. At most 1 MiB. */
  readonly text?: string
  /** What searches can filter by. At most 64 KiB as JSON. */
  readonly metadata?: M
}

/** What is in a collection. */
export interface StoredVector<M extends object = Record<string, unknown>> {
  /** Its name within the collection. */
  readonly id: string
  /** Its vector; absent where it was not asked for. */
  readonly vector?: Float32Array
  /** Its text; absent when it has none. */
  readonly text?: string
  /** What searches can filter by. */
  readonly metadata: M
}

/** What a search found. */
export interface VectorMatch<M extends object = Record<string, unknown>> extends StoredVector<M> {
  /** How near it is: more is nearer. */
  readonly score: number
}

/** What a search looks for, beside nearness. */
export interface VectorSearchOptions<M extends object = Record<string, unknown>> extends CallOptions {
  /** Most items: 1 to 1,000. Default 10. */
  readonly limit?: number
  /** Which items, by their metadata: `{ category: 'tech', year: { gte: 2020 } }` or `'category=eq.tech'`, as with tables. Default: all. */
  readonly where?: RowFilter<M>
  /** Candidates that the index looks at: 1 to 1,000. Default 100, or `limit` when that is more. More find better and take longer. */
  readonly candidates?: number
  /** True: the items come with their vectors. Default false. */
  readonly withVectors?: boolean
}

/** What a search by a vector looks for. */
export interface VectorSearch<M extends object = Record<string, unknown>> extends VectorSearchOptions<M> {
  /** What to be near to. */
  readonly vector: VectorValue
  /** Only items with at least this score. Default: any. */
  readonly threshold?: number
}

/** What a search by text and vector looks for. */
export interface HybridSearch<M extends object = Record<string, unknown>> extends VectorSearchOptions<M> {
  /** Words to find, as one types them into a search: `machine learning`, `"exact words"`, `this or that`, `-without`. */
  readonly text: string
  /** What to be near to. */
  readonly vector: VectorValue
  /** Weight of the text: 0 to 1. Default 0.5. */
  readonly textWeight?: number
  /** Weight of the vector: 0 to 1. Default 0.5. */
  readonly vectorWeight?: number
  /**
   * How both orders become one: `weights` adds both scores, each between 0 and 1 within what was found, times its weight; `rrf`
   * is reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): weight / (60 + rank), so that scores need not compare.
   * Default `weights`.
   */
  readonly fusion?: 'weights' | 'rrf'
}
