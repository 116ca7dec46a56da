import { type DescEnum, type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import type { Options } from './options.ts'

/** What a field's shape refers to. */
export type Reference = DescMessage | DescEnum

/** A message's shape: the text of its fields, and what they refer to by number. */
export interface MessageShape {
  readonly fields: string
  readonly references: readonly Reference[]
}

const scalarCodes: Readonly<Record<ScalarType, string>> = {
  [ScalarType.STRING]: 's',
  [ScalarType.BYTES]: 'b',
  [ScalarType.BOOL]: 'z',
  [ScalarType.DOUBLE]: 'd',
  [ScalarType.FLOAT]: 'd',
  [ScalarType.INT32]: 'i',
  [ScalarType.SINT32]: 'i',
  [ScalarType.SFIXED32]: 'i',
  [ScalarType.UINT32]: 'u',
  [ScalarType.FIXED32]: 'u',
  [ScalarType.INT64]: 'l',
  [ScalarType.SINT64]: 'l',
  [ScalarType.SFIXED64]: 'l',
  [ScalarType.UINT64]: 'l',
  [ScalarType.FIXED64]: 'l',
}

/**
 * Writes what a message looks like; packages/protocol/src/http/shape.ts reads it and says how.
 *
 * @param options - reads the options of fields.
 */
export function shapeOf(message: DescMessage, options: Options): MessageShape {
  const references: Reference[] = []
  const fields = message.fields.map((field) => {
    const { code, suffix } = codeOf(field, references)
    const payload = options.payload(field)
    const oneof = field.oneof ? `@${camelCase(field.oneof.name)}` : ''
    const type = code + suffix + (payload ? `>${payload}` : '') + oneof
    return type === 's' ? field.jsonName : `${field.jsonName}:${type}`
  })
  return { fields: fields.join(' '), references }
}

function codeOf(field: DescField, references: Reference[]): { readonly code: string; readonly suffix: string } {
  const refer = (to: Reference): string => {
    if (to.kind === 'message' && to.typeName === 'google.protobuf.Timestamp') return 't'
    if (to.typeName.startsWith('google.')) throw new Error(`${field}: ${to.typeName} has no form in JSON here`)
    if (!references.includes(to)) references.push(to)
    return String(references.indexOf(to))
  }
  switch (field.fieldKind) {
    case 'scalar':
      return { code: scalarCodes[field.scalar], suffix: field.proto.proto3Optional ? '?' : '' }
    case 'enum':
      return { code: refer(field.enum), suffix: field.proto.proto3Optional ? '?' : '' }
    case 'message':
      return { code: refer(field.message), suffix: '' }
    case 'list':
      return {
        code: field.listKind === 'scalar' ? scalarCodes[field.scalar] : refer(field.listKind === 'enum' ? field.enum : field.message),
        suffix: '*',
      }
    case 'map': {
      if (field.mapKey !== ScalarType.STRING) throw new Error(`${field}: only maps from strings have a form in JSON here`)
      return {
        code: field.mapKind === 'scalar' ? scalarCodes[field.scalar] : refer(field.mapKind === 'enum' ? field.enum : field.message),
        suffix: '%',
      }
    }
  }
}

/** An enum's shape: the prefix of its full names, then its values in order, with their numbers where those do not count on. */
export function enumShapeOf({ values, sharedPrefix, typeName }: DescEnum): string {
  let next = 0
  const prefix = (sharedPrefix ?? '').toUpperCase()
  const names = values.map(({ name, number }) => {
    if (!name.startsWith(prefix)) throw new Error(`${typeName}: ${name} has not the prefix ${prefix}`)
    const text = name.slice(prefix.length).toLowerCase() + (number === next ? '' : `=${number}`)
    next = number + 1
    return text
  })
  return [prefix, ...names].join(' ')
}

function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
}

/** As ts-proto names it: `Settlement_Complete`. */
export function nameOf({ typeName, file }: Reference): string {
  return typeName.slice(file.proto.package.length + 1).replaceAll('.', '_')
}
