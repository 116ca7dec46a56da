import type * as wire from '@millrace/protocol'
import type { ClientContext } from './context.ts'
import { InternalError, invalid, NotFoundError } from './errors/errors.ts'
import type { CallOptions } from './options.ts'
import { createList, type List } from './page.ts'
import { decodePayload, encodePayload } from './payload.ts'
import type { ListOptions } from './queues/types.ts'
import { missingField, toInt, toText } from './wire.ts'

/**
 * What a new version of a schema has to be to the latest one. `backward`: what fits the version before fits the new one, so that
 * readers of the new version read what was written before; `forward`: the other way round; `full`: both; `none`: anything.
 */
export type SchemaCompatibility = 'none' | 'backward' | 'forward' | 'full'

/** A JSON Schema, draft 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** A version of a schema that a payload was checked against. */
export interface SchemaVersion {
  /** The name of the schema. */
  readonly name: string
  /** The number of the version, from 1. */
  readonly version: number
}

/** What is known of a version of a schema, but for its definition. */
export interface SchemaInfo extends SchemaVersion {
  /** What the next version has to be to this one. */
  readonly compatibility: SchemaCompatibility
  /** When it was registered. */
  readonly createdAt: Date
}

/** A version of a schema. */
export interface Schema extends SchemaInfo {
  /** The JSON Schema. */
  readonly definition: JsonSchema
}

/** How to register a version of a schema. */
export interface RegisterSchemaOptions extends CallOptions {
  /** What it has to be to the latest version, and the next one to it. Default: as it was; `backward` for a new schema. */
  readonly compatibility?: SchemaCompatibility
}

/** What became of a version to register. */
export interface RegisteredSchema {
  /** The number of the version. */
  readonly version: number
  /** False: it was the latest version already. */
  readonly created: boolean
}

/** Which version to read. */
export interface GetSchemaOptions extends CallOptions {
  /** The version. Default: the latest. */
  readonly version?: number
}

/** A stream or a queue. */
export type SchemaTarget =
  | {
      /** The name of a stream; it need not be there yet. */
      readonly stream: string
      /** Not with a stream. */
      readonly queue?: never
    }
  | {
      /** The name of a queue: its plain jobs, not its tasks. */
      readonly queue: string
      /** Not with a queue. */
      readonly stream?: never
    }

/** What to attach a schema to. */
export type AttachSchemaOptions = SchemaTarget &
  CallOptions & {
    /** The version. Default: the latest at any time, also those to come. */
    readonly version?: number
  }

/** A stream or queue that has a schema. */
export interface SchemaAttachment {
  /** The stream; absent when it is a queue. */
  readonly stream?: string
  /** The queue; absent when it is a stream. */
  readonly queue?: string
  /** The name of the schema. */
  readonly schema: string
  /** The version; absent when it is the latest at any time. */
  readonly version?: number
  /** When it was attached. */
  readonly attachedAt: Date
}

const rules = ['none', 'backward', 'forward', 'full'] as const

/** JSON Schemas in versions; what is written to the streams and queues that they are attached to has to fit. */
export class Schemas {
  readonly #context: ClientContext

  /** @internal Use `mr.schemas`. */
  constructor(context: ClientContext) {
    this.#context = context
  }

  /**
   * Adds a version of a schema. The latest one again is answered with its number.
   *
   * @throws ValidationError when it is not a schema, or not compatible with the latest version; `fields` say where and why.
   */
  async register(name: string, definition: JsonSchema, options: RegisterSchemaOptions = {}): Promise<RegisteredSchema> {
    const { payload, contentType } = encodePayload('definition', definition)
    const rule = options.compatibility === undefined ? 0 : rules.indexOf(options.compatibility) + 1
    if (options.compatibility !== undefined && rule === 0) throw invalid('compatibility', `is not one of ${rules.join(', ')}.`)
    const request = { name: toText('name', name), definition: payload, contentType, compatibility: rule as wire.SchemaCompatibility }
    return this.#context.safe('SchemaService/RegisterSchema', request, options)
  }

  /** Reads a version of a schema; undefined when there is none. */
  async get(name: string, options: GetSchemaOptions = {}): Promise<Schema | undefined> {
    try {
      const request = { name: toText('name', name), version: toInt('version', options.version) }
      const { schema } = await this.#context.safe('SchemaService/GetSchema', request, options)
      if (!schema) throw new InternalError(missingField('the schema'))
      return { ...fromSchema(schema), definition: decodePayload('definition', schema.definition, schema.contentType) as JsonSchema }
    } catch (error) {
      if (error instanceof NotFoundError) return undefined
      throw error
    }
  }

  /** Lists schemas by name, the latest version of each. */
  list(options: ListOptions = {}): List<SchemaInfo> {
    return createList(async (cursor) => {
      const request = { limit: toInt('limit', options.limit), cursor }
      const { schemas, nextCursor } = await this.#context.safe('SchemaService/ListSchemas', request, options)
      return { items: schemas.map(fromSchema), nextCursor }
    }, options.cursor)
  }

  /** The versions of a schema, oldest first. @throws NotFoundError */
  async versions(name: string, call?: CallOptions): Promise<SchemaInfo[]> {
    const request = { name: toText('name', name) }
    return (await this.#context.safe('SchemaService/ListSchemaVersions', request, call)).versions.map(fromSchema)
  }

  /** Deletes a schema with its versions. @returns false when there was none. @throws ConflictError while it is attached. */
  async delete(name: string, call?: CallOptions): Promise<boolean> {
    return (await this.#context.unsafe('SchemaService/DeleteSchema', { name: toText('name', name) }, call)).deleted
  }

  /**
   * Attaches a schema to a stream or queue, in place of the one before: what is written from now on has to fit, and carries the
   * version. What is there already stays.
   *
   * @throws NotFoundError when there is no such schema or version.
   */
  async attach(name: string, options: AttachSchemaOptions): Promise<void> {
    const request = { name: toText('name', name), version: toInt('version', options.version), ...toTarget(options) }
    await this.#context.safe('SchemaService/AttachSchema', request, options)
  }

  /** Detaches whatever schema is attached to a stream or queue. @returns false when there was none. */
  async detach(target: SchemaTarget, call?: CallOptions): Promise<boolean> {
    return (await this.#context.unsafe('SchemaService/DetachSchema', toTarget(target), call)).detached
  }

  /** What has a schema: streams, then queues, by name. */
  async attachments(call?: CallOptions): Promise<SchemaAttachment[]> {
    const { attachments } = await this.#context.safe('SchemaService/ListSchemaAttachments', {}, call)
    return attachments.map(({ stream, queue, schema, version, attachedAt }) => ({
      ...(stream !== '' && { stream }),
      ...(queue !== '' && { queue }),
      schema,
      ...(version !== 0 && { version }),
      attachedAt: attachedAt ?? new Date(0),
    }))
  }
}

function toTarget({ stream, queue }: SchemaTarget) {
  return { stream: toText('stream', stream), queue: toText('queue', queue) }
}

function fromSchema({ name, version, compatibility, createdAt }: wire.Schema): SchemaInfo {
  return { name, version, compatibility: rules[compatibility - 1] ?? 'none', createdAt: createdAt ?? new Date(0) }
}
