import { type DescField, type DescMessage, type DescMethod, type DescService, ScalarType } from '@bufbuild/protobuf'
import { getComments } from '@bufbuild/protoplugin'
import type { Binding, Options } from './options.ts'
import { nameOf, type Reference } from './shape.ts'

type Json = Readonly<Record<string, unknown>>

const scalars: Readonly<Record<ScalarType, Json>> = {
  [ScalarType.STRING]: { type: 'string' },
  [ScalarType.BYTES]: { type: 'string', contentEncoding: 'base64' },
  [ScalarType.BOOL]: { type: 'boolean' },
  [ScalarType.DOUBLE]: { type: 'number' },
  [ScalarType.FLOAT]: { type: 'number' },
  [ScalarType.INT32]: { type: 'integer', format: 'int32' },
  [ScalarType.SINT32]: { type: 'integer', format: 'int32' },
  [ScalarType.SFIXED32]: { type: 'integer', format: 'int32' },
  [ScalarType.UINT32]: { type: 'integer', minimum: 0 },
  [ScalarType.FIXED32]: { type: 'integer', minimum: 0 },
  [ScalarType.INT64]: { type: 'integer', format: 'int64' },
  [ScalarType.SINT64]: { type: 'integer', format: 'int64' },
  [ScalarType.SFIXED64]: { type: 'integer', format: 'int64' },
  [ScalarType.UINT64]: { type: 'integer', minimum: 0 },
  [ScalarType.FIXED64]: { type: 'integer', minimum: 0 },
}

const description = `Durable tasks, queues, streams and data over HTTP. Streams are server-sent events, errors are
\`application/problem+json\`. Durations are milliseconds in fields that end in \`Ms\`; payloads are plain JSON while their content
type is \`application/json\` (the default), else base64.`

const problem: Json = {
  type: 'object',
  description: 'What went wrong.',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What went wrong and what to do, for people.' },
    code: { type: 'string', description: 'A row of the error table, such as `VALIDATION` or `NOT_FOUND`.' },
    requestId: { type: 'string', description: "The server's name for the request." },
    fields: {
      type: 'array',
      description: 'The wrong fields.',
      items: { type: 'object', properties: { path: { type: 'string' }, message: { type: 'string' } } },
    },
    requiredScope: { type: 'string', description: 'The scope the key lacks.' },
    resource: { type: 'string', description: 'The kind of thing that was not found.' },
    id: { type: 'string', description: 'The id that was asked for.' },
    retryAfter: { type: 'number', description: 'When to try again, in seconds.' },
    quota: {
      type: 'object',
      description: 'The limit that is reached.',
      properties: { type: { type: 'string' }, current: { type: 'integer' }, limit: { type: 'integer' } },
    },
  },
  required: ['type', 'title', 'status', 'detail', 'code'],
}

/**
 * Describes every route as OpenAPI 3.1. Source: https://spec.openapis.org/oas/v3.1.1.html
 *
 * @param methods - the methods with routes.
 * @param types - what their messages are made of.
 * @param options - reads the options of methods and fields.
 */
export function openApi(methods: readonly DescMethod[], types: Iterable<Reference>, options: Options): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const method of methods) {
    for (const [i, binding] of options.bindings(method).entries()) {
      const path = paths[binding.template] ?? {}
      paths[binding.template] = path
      path[binding.verb.toLowerCase()] = operation(method, binding, options, i === 0 ? method.localName : `${method.localName}${i + 1}`)
    }
  }
  const schemas = [...types].sort((a, b) => (a.typeName < b.typeName ? -1 : 1)).map((type) => [nameOf(type), schemaOf(type, options)])
  return {
    openapi: '3.1.1',
    info: { title: 'Millrace', version: 'v1', description, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags: [...new Set(methods.map((method) => method.parent))].map((service) => ({
      name: tagOf(service),
      description: commentOf(service),
    })),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key, or a short-lived token.' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'An API key, or a short-lived token.' },
      },
      parameters: {
        Namespace: {
          name: 'Millrace-Namespace',
          in: 'header',
          description: 'The namespace the call acts in.',
          schema: { type: 'string', default: 'default' },
        },
        IdempotencyKey: {
          name: 'Idempotency-Key',
          in: 'header',
          description: 'A repeat with the same key and body is answered as the first time.',
          schema: { type: 'string' },
        },
        LastEventId: {
          name: 'Last-Event-ID',
          in: 'header',
          description: 'The id of the last event seen: the stream goes on after it.',
          schema: { type: 'string' },
        },
      },
      responses: {
        Problem: { description: 'What went wrong.', content: { 'application/problem+json': { schema: ref('schemas', 'Problem') } } },
      },
      schemas: { Problem: problem, ...Object.fromEntries(schemas) },
    },
  }
}

function operation(method: DescMethod, binding: Binding, options: Options, operationId: string): Json {
  const comment = commentOf(method)
  const inPath = new Set([...binding.template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!))
  const rest = method.input.fields.filter((field) => !inPath.has(field.jsonName) && field.jsonName !== binding.body)
  const isStream = method.methodKind === 'server_streaming'
  const isWrite = binding.verb !== 'GET'
  const events = options.events(method)
  const parameters = [
    ...method.input.fields
      .filter((field) => inPath.has(field.jsonName))
      .map((field) => ({
        name: field.jsonName,
        in: 'path',
        required: true,
        description: commentOf(field),
        schema: fieldSchema(field, options),
      })),
    ...(binding.body === '*' ? [] : rest.flatMap((field) => queryParameters(field, '', options))),
    ref('parameters', 'Namespace'),
    ...(isWrite && takesIdempotencyKey(method.input) ? [ref('parameters', 'IdempotencyKey')] : []),
    ...(events === '' ? [] : [ref('parameters', 'LastEventId')]),
  ]
  const answer = ref('schemas', nameOf(method.output))
  const ok = isStream
    ? {
        description: `Events, each with one ${nameOf(method.output)} as its data; \`event: end\` when nothing follows.`,
        content: { 'text/event-stream': { schema: answer } },
      }
    : { description: 'The answer.', content: { 'application/json': { schema: answer } } }
  return {
    operationId,
    tags: [tagOf(method.parent)],
    summary: /^.*?[.:](?= |$)/.exec(comment)?.[0].replace(/[.:]$/, '') ?? comment,
    description: comment,
    parameters,
    ...(binding.body === ''
      ? {}
      : { requestBody: { required: binding.body !== '*', content: bodyContent(binding, rest, method, options) } }),
    responses: {
      200: ok,
      ...(events === '' ? {} : { 204: { description: 'Nothing follows the event seen last: do not come again.' } }),
      default: ref('responses', 'Problem'),
    },
  }
}

function bodyContent({ body }: Binding, rest: readonly DescField[], { input }: DescMethod, options: Options): Json {
  const field = input.fields.find((one) => one.jsonName === body)
  const schema = field
    ? fieldSchema(field, options)
    : rest.length === input.fields.length
      ? ref('schemas', nameOf(input))
      : objectOf(rest, options)
  return { 'application/json': { schema } }
}

/** Fields of fields have dots; lists repeat; maps have brackets, `labels[team]=blue`. */
function queryParameters(field: DescField, prefix: string, options: Options): Json[] {
  if (field.fieldKind === 'message' && !isTime(field)) {
    return field.message.fields.flatMap((inner) => queryParameters(inner, `${prefix}${field.jsonName}.`, options))
  }
  if (options.payload(field) !== '' || (field.fieldKind === 'list' && field.listKind === 'message')) return []
  const style = field.fieldKind === 'map' ? { style: 'deepObject', explode: true } : {}
  return [{ name: prefix + field.jsonName, in: 'query', description: commentOf(field), ...style, schema: fieldSchema(field, options) }]
}

function schemaOf(type: Reference, options: Options): Json {
  if (type.kind === 'message') return { ...objectOf(type.fields, options), description: commentOf(type) }
  const prefix = (type.sharedPrefix ?? '').length
  const values = type.values.map((value) => `\`${value.name.slice(prefix).toLowerCase()}\`: ${commentOf(value)}`)
  return {
    type: 'string',
    description: `${commentOf(type)}\n\n${values.map((line) => `- ${line}`).join('\n')}`,
    enum: type.values.map((value) => value.name.slice(prefix).toLowerCase()),
  }
}

function objectOf(fields: readonly DescField[], options: Options): Json {
  const properties = fields.map((field) => [field.jsonName, { ...fieldSchema(field, options), description: commentOf(field) }])
  return { type: 'object', properties: Object.fromEntries(properties) }
}

function fieldSchema(field: DescField, options: Options): Json {
  // A payload is any JSON.
  if (options.payload(field) !== '') return {}
  if (isTime(field)) return { type: 'string', format: 'date-time' }
  switch (field.fieldKind) {
    case 'scalar':
      return scalars[field.scalar]
    case 'enum':
      return ref('schemas', nameOf(field.enum))
    case 'message':
      return ref('schemas', nameOf(field.message))
    case 'list':
      return {
        type: 'array',
        items: field.listKind === 'scalar' ? scalars[field.scalar] : ref('schemas', nameOf(field.enum ?? field.message!)),
      }
    case 'map':
      return {
        type: 'object',
        additionalProperties: field.mapKind === 'scalar' ? scalars[field.scalar] : ref('schemas', nameOf(field.enum ?? field.message!)),
      }
  }
}

function isTime(field: DescField): boolean {
  return field.fieldKind === 'message' && field.message.typeName === 'google.protobuf.Timestamp'
}

function takesIdempotencyKey({ fields }: DescMessage): boolean {
  return fields.some(
    ({ name, message }) => name === 'request_id' || [...(message?.fields ?? [])].some((one) => one.name === 'idempotency_key'),
  )
}

function ref(kind: string, name: string): Json {
  return { $ref: `#/components/${kind}/${name}` }
}

function tagOf(service: DescService): string {
  return service.name.replace(/Service$/, '')
}

function commentOf(desc: Parameters<typeof getComments>[0]): string {
  return (getComments(desc).leading ?? '').trim().replace(/\n */g, ' ')
}
