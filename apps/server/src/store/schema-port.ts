import type { Scope } from './ports.ts'

/** What a new version of a schema has to be to the one before. */
export type Compatibility = 'none' | 'backward' | 'forward' | 'full'

/** A version of a schema. */
export interface SchemaRecord {
  readonly name: string
  /** From 1. */
  readonly version: number
  /** JSON. */
  readonly definition: string
  /** Of this version to the one before, and of the next to this one. */
  readonly compatibility: Compatibility
  readonly createdAt: number
}

/** What a schema may be attached to. */
export type SchemaTarget = { readonly kind: 'stream' | 'queue'; readonly name: string }

/** A stream or queue with its schema. */
export interface SchemaAttachment extends SchemaTarget {
  readonly schema: string
  /** 0 means the latest. */
  readonly version: number
  /** The version that this is now. */
  readonly current: number
  readonly attachedAt: number
}

/** Most versions of a schema, and most attachments of a namespace. */
export const mostSchemaVersions = 1000
export const mostSchemaAttachments = 1000

/** Schemas and what they are attached to. */
export interface SchemaStorage {
  /** Adds a version; false when there is that version already. */
  add(scope: Scope, schema: Omit<SchemaRecord, 'createdAt'>, now: number): Promise<boolean>
  /** Changes what the next version has to be to this one. */
  setCompatibility(scope: Scope, name: string, version: number, compatibility: Compatibility): Promise<void>
  /** A version; the latest when none is given. */
  get(scope: Scope, name: string, version?: number): Promise<SchemaRecord | undefined>
  /** The latest versions by name, those after `after`. */
  list(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly SchemaRecord[]>
  /** Oldest first. */
  versions(scope: Scope, name: string): Promise<readonly SchemaRecord[]>
  /** Deletes all versions, unless something has the schema. */
  delete(scope: Scope, name: string): Promise<'deleted' | 'missing' | 'attached'>
  /** Attaches a schema in place of the one before; version 0 means the latest. False when there is no such version. Rejects with QUOTA_EXCEEDED. */
  attach(scope: Scope, target: SchemaTarget, schema: string, version: number, now: number): Promise<boolean>
  /** False when there was none. */
  detach(scope: Scope, target: SchemaTarget): Promise<boolean>
  /** All of a namespace: streams, then queues, by name. */
  attachments(scope: Scope): Promise<readonly SchemaAttachment[]>
  /** Sets the one listener to what other servers change. It must not throw. */
  listen(listener: SchemaListener): void
}

/** Told of changes by other servers. */
export interface SchemaListener {
  changed(scope: Scope): void
  /** Some may have gone unseen. */
  missed(): void
}
