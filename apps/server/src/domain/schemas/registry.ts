import type { Clock } from '../../clock.ts'
import { MillraceError, notFound } from '../../errors.ts'
import type { Scope } from '../../store/ports.ts'
import {
  type Compatibility,
  mostSchemaVersions,
  type SchemaAttachment,
  type SchemaRecord,
  type SchemaStorage,
  type SchemaTarget,
} from '../../store/schema-port.ts'
import { Budget } from './budget.ts'
import { refusal, SchemaGuard } from './guard.ts'
import type { Validator } from './validator.ts'

/** Namespaces whose attachments are kept in memory, and schemas that are kept compiled; the oldest make room. */
const mostNamespaces = 10_000
const mostCompiled = 256

/** What of a namespace has a schema, by {@link targetKey}. */
type Attached = ReadonlyMap<string, SchemaAttachment>

/** Schemas as the services use them. What is not said here is said at {@link SchemaStorage}. */
export class SchemaRegistry {
  readonly #store: SchemaStorage
  readonly #clock: Clock
  /** Of namespaces that were written to; of most, nothing. */
  readonly #attached = new Map<string, Attached>()
  readonly #compiled = new Map<string, Promise<Validator>>()
  /** Counts what changed, so that what is read meanwhile is read again. */
  #changes = 0

  constructor({ store, clock }: { readonly store: SchemaStorage; readonly clock: Clock }) {
    this.#store = store
    this.#clock = clock
    store.listen({
      changed: (scope) => this.#forget(scope),
      missed: () => {
        this.#changes++
        this.#attached.clear()
        this.#compiled.clear()
      },
    })
  }

  /**
   * What checks the payloads of one request to a stream or queue; undefined when it has no schema, which costs a look-up.
   *
   * @param budget - that of the request, when it is to several streams or queues.
   */
  guard(scope: Scope, kind: SchemaTarget['kind'], name: string, budget?: Budget): Promise<SchemaGuard | undefined> | undefined {
    const attached = this.#attached.get(scopeKey(scope))
    if (attached && (attached.size === 0 || !attached.has(targetKey(kind, name)))) return undefined
    return this.#guard(scope, { kind, name }, budget ?? new Budget())
  }

  /**
   * Adds a version.
   *
   * @param compatibility - undefined: as before; backward for a new schema.
   * @returns the version, and whether it is new.
   * @throws VALIDATION, QUOTA_EXCEEDED
   */
  async register(
    scope: Scope,
    name: string,
    definition: Uint8Array,
    compatibility: Compatibility | undefined,
  ): Promise<{ readonly version: number; readonly created: boolean }> {
    // What compiles schemas takes its memory when the first one comes.
    const { checkDefinition } = await import('./definition.ts')
    const { incompatibilities } = await import('./compatibility.ts')
    const { schema, problems } = checkDefinition(definition)
    if (!schema) throw refusal(problems)
    const text = JSON.stringify(schema)
    for (;;) {
      const latest = await this.#store.get(scope, name)
      const rule = compatibility ?? latest?.compatibility ?? 'backward'
      if (latest?.definition === text) {
        if (rule !== latest.compatibility) await this.#store.setCompatibility(scope, name, latest.version, rule)
        return { version: latest.version, created: false }
      }
      if (latest) {
        const broken = incompatibilities(rule, JSON.parse(latest.definition), latest.version, schema)
        if (broken.length > 0) throw refusal(broken)
      }
      const version = (latest?.version ?? 0) + 1
      if (version > mostSchemaVersions) {
        throw new MillraceError(
          'QUOTA_EXCEEDED',
          `The schema '${name}' has ${mostSchemaVersions} versions, which is the most: register another schema, and attach it instead.`,
          { quota: { type: 'schema_versions', current: mostSchemaVersions, limit: mostSchemaVersions } },
        )
      }
      const added = await this.#store.add(scope, { name, version, definition: text, compatibility: rule }, this.#clock.now())
      this.#forget(scope)
      // Otherwise somebody else was first with this number.
      if (added) return { version, created: true }
    }
  }

  /** @throws NOT_FOUND */
  async get(scope: Scope, name: string, version?: number): Promise<SchemaRecord> {
    const found = await this.#store.get(scope, name, version)
    if (!found) throw notFound('schema', version === undefined ? name : `${name} version ${version}`)
    return found
  }

  /** @throws NOT_FOUND */
  async versions(scope: Scope, name: string): Promise<readonly SchemaRecord[]> {
    const found = await this.#store.versions(scope, name)
    if (found.length === 0) throw notFound('schema', name)
    return found
  }

  list(scope: Scope, page: { readonly limit: number; readonly after: string }): Promise<readonly SchemaRecord[]> {
    return this.#store.list(scope, page)
  }

  /** False when there was none. @throws FAILED_PRECONDITION while it is attached. */
  async delete(scope: Scope, name: string): Promise<boolean> {
    const outcome = await this.#store.delete(scope, name)
    this.#forget(scope)
    if (outcome !== 'attached') return outcome === 'deleted'
    throw new MillraceError('FAILED_PRECONDITION', `The schema '${name}' is attached to a stream or queue: detach it first.`)
  }

  /** @throws NOT_FOUND, QUOTA_EXCEEDED */
  async attach(scope: Scope, target: SchemaTarget, schema: string, version: number): Promise<void> {
    const attached = await this.#store.attach(scope, target, schema, version, this.#clock.now())
    this.#forget(scope)
    if (!attached) throw notFound('schema', version === 0 ? schema : `${schema} version ${version}`)
  }

  /** False when there was none. */
  async detach(scope: Scope, target: SchemaTarget): Promise<boolean> {
    const detached = await this.#store.detach(scope, target)
    this.#forget(scope)
    return detached
  }

  attachments(scope: Scope): Promise<readonly SchemaAttachment[]> {
    return this.#store.attachments(scope)
  }

  async #guard(scope: Scope, { kind, name }: SchemaTarget, budget: Budget): Promise<SchemaGuard | undefined> {
    const attachment = (await this.#load(scope)).get(targetKey(kind, name))
    if (!attachment) return undefined
    const { schema, current } = attachment
    return new SchemaGuard({ name: schema, version: current }, await this.#validator(scope, schema, current), budget)
  }

  async #load(scope: Scope): Promise<Attached> {
    const key = scopeKey(scope)
    for (;;) {
      const known = this.#attached.get(key)
      if (known) return known
      const before = this.#changes
      const found = await this.#store.attachments(scope)
      if (before !== this.#changes) continue
      keep(this.#attached, key, new Map(found.map((each) => [targetKey(each.kind, each.name), each])), mostNamespaces)
    }
  }

  #validator(scope: Scope, name: string, version: number): Promise<Validator> {
    const key = `${scopeKey(scope)} ${name} ${version}`
    const known = this.#compiled.get(key)
    if (known !== undefined) return known
    const compile = async () => {
      const { Validator } = await import('./validator.ts')
      return new Validator((await this.get(scope, name, version)).definition)
    }
    const compiled = compile()
    keep(this.#compiled, key, compiled, mostCompiled)
    compiled.catch(() => this.#compiled.delete(key))
    return compiled
  }

  #forget(scope: Scope): void {
    const key = scopeKey(scope)
    this.#changes++
    this.#attached.delete(key)
    // A name that is deleted may come back with other versions.
    for (const each of this.#compiled.keys()) if (each.startsWith(`${key} `)) this.#compiled.delete(each)
  }
}

function keep<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.set(key, value)
  if (map.size > most) map.delete(map.keys().next().value!)
}

const scopeKey = ({ tenant, namespace }: Scope) => `${tenant} ${namespace}`
const targetKey = (kind: SchemaTarget['kind'], name: string) => `${kind} ${name}`
