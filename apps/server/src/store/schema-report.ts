/** How a database differs from what this version of the code makes. */
export interface SchemaReport {
  /** The database's version of the schema; 0 when there is none. */
  readonly version: number
  /** The version that this code makes. */
  readonly expected: number
  /** What should be there and is not. */
  readonly missing: readonly string[]
  /** What is there and should not be. */
  readonly unexpected: readonly string[]
}
