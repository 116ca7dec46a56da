/** Which bytes of a blob are read. */
export interface Span {
  /** The first, from 0. */
  readonly start: number
  /** How many; at least one. */
  readonly length: number
}

/** A blob that nobody needs. */
export interface Waste {
  readonly name: string
  /** True: `write` resolved for it. Otherwise there may be a part of it. */
  readonly whole: boolean
}

/**
 * Keeps bytes under names. Each name is written once and never changed; which names are needed is the store's to know, so a backend
 * knows no buckets, keys or tenants. Names are made by `physicalName`: letters, digits, `-`, `_`, `%` and slashes.
 */
export interface ObjectBackend {
  /**
   * Writes a blob; when it resolves, the bytes survive a power cut. Reads its source only as fast as it writes. A failure may leave
   * what `delete` removes.
   *
   * @param most - bytes that may come at most.
   */
  write(name: string, source: AsyncIterable<Uint8Array>, most: number): Promise<void>
  /** Reads a part of a blob, as fast as it is asked for. Rejects when the blob is not there. */
  read(name: string, span: Span): AsyncIterable<Uint8Array>
  /** Removes blobs; what is not there is removed already. Resolves when they will not come back. */
  delete(blobs: readonly Waste[]): Promise<void>
  /** Rejects when the backend cannot be used: with what to do about it. */
  check(): Promise<void>
  close(): Promise<void>
}
