import type { Schema, SchemaCompatibility, SchemaServiceDefinition } from '@millrace/protocol'
import { requireWhole } from '../domain/keys/limited-scope.ts'
import type { SchemaRegistry } from '../domain/schemas/registry.ts'
import { type Compatibility, mostSchemaVersions, type SchemaRecord, type SchemaTarget } from '../store/schema-port.ts'
import type { ServiceOf } from './call.ts'
import { Checks } from './checks.ts'
import { toDate } from './shapes.ts'

const rules: readonly Compatibility[] = ['none', 'backward', 'forward', 'full']
const noBytes = new Uint8Array(0)

/** Schemas of streams and queues. */
export function createSchemaService(schemas: SchemaRegistry): ServiceOf<typeof SchemaServiceDefinition> {
  return {
    async registerSchema({ name, definition, contentType, compatibility }, { scope }) {
      requireWhole(scope, 'register schemas')
      const checks = new Checks()
      checks.name('name', name)
      if (contentType !== '' && contentType !== 'application/json') checks.fail('contentType', 'is not application/json')
      if (definition.length === 0) checks.fail('definition', 'is missing; give a JSON Schema')
      checks.integer('compatibility', compatibility, 0, rules.length)
      checks.done()
      return schemas.register(scope, name, definition, rules[compatibility - 1])
    },

    async getSchema({ name, version }, { scope }) {
      requireWhole(scope, 'read schemas')
      const checks = new Checks()
      checks.name('name', name)
      checkVersion(checks, version)
      checks.done()
      return { schema: toSchema(await schemas.get(scope, name, version || undefined)) }
    },

    async listSchemas({ limit: asked, cursor }, { scope }) {
      requireWhole(scope, 'read schemas')
      const checks = new Checks()
      const limit = checks.page('limit', asked)
      checks.nameOr('cursor', cursor, '')
      checks.done()
      const found = await schemas.list(scope, { limit: limit + 1, after: cursor })
      const page = found.slice(0, limit)
      return { schemas: page.map(toBriefSchema), nextCursor: found.length > limit ? page.at(-1)!.name : '' }
    },

    async listSchemaVersions({ name }, { scope }) {
      requireWhole(scope, 'read schemas')
      checkName(name)
      return { versions: (await schemas.versions(scope, name)).map(toBriefSchema) }
    },

    async deleteSchema({ name }, { scope }) {
      requireWhole(scope, 'delete schemas')
      checkName(name)
      return { deleted: await schemas.delete(scope, name) }
    },

    async attachSchema({ name, version, ...target }, { scope }) {
      requireWhole(scope, 'attach schemas')
      const checks = new Checks()
      checks.name('name', name)
      checkVersion(checks, version)
      await schemas.attach(scope, readTarget(checks, target), name, version)
      return {}
    },

    async detachSchema(target, { scope }) {
      requireWhole(scope, 'detach schemas')
      return { detached: await schemas.detach(scope, readTarget(new Checks(), target)) }
    },

    async listSchemaAttachments(_, { scope }) {
      requireWhole(scope, 'read schemas')
      const found = await schemas.attachments(scope)
      return {
        attachments: found.map(({ kind, name, schema, version, attachedAt }) => {
          return {
            stream: kind === 'stream' ? name : '',
            queue: kind === 'queue' ? name : '',
            schema,
            version,
            attachedAt: toDate(attachedAt),
          }
        }),
      }
    },
  }
}

function checkName(name: string): void {
  const checks = new Checks()
  checks.name('name', name)
  checks.done()
}

function checkVersion(checks: Checks, version: number): void {
  checks.integer('version', version, 0, mostSchemaVersions)
}

/** The stream or queue of a request, whose checks end with it. */
function readTarget(checks: Checks, { stream, queue }: { readonly stream: string; readonly queue: string }): SchemaTarget {
  if (stream === '' && queue === '') checks.fail('stream', 'is missing; give a stream or a queue')
  if (stream !== '' && queue !== '') checks.fail('queue', 'stands beside stream; give one of them')
  const kind = stream !== '' ? 'stream' : 'queue'
  if (stream !== '' || queue !== '') checks.name(kind, stream || queue)
  checks.done()
  return { kind, name: stream || queue }
}

function toSchema({ definition, ...record }: SchemaRecord): Schema {
  return { ...toBriefSchema({ definition, ...record }), definition: Buffer.from(definition) }
}

function toBriefSchema({ name, version, compatibility, createdAt }: SchemaRecord): Schema {
  return {
    name,
    version,
    definition: noBytes,
    contentType: '',
    compatibility: (rules.indexOf(compatibility) + 1) as SchemaCompatibility,
    createdAt: toDate(createdAt),
  }
}
