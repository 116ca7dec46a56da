import type { EnumShape } from './shape.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** True for the media types whose payloads appear as plain JSON; empty means `application/json`. */
export function isJsonType(contentType: string): boolean {
  return contentType === '' || /^application\/json *(;|$)/i.test(contentType)
}

/** The text of UTF-8 bytes. @throws TypeError when they are not. */
export function toText(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** The UTF-8 bytes of a text. */
export function toBytes(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Bytes as base64 with padding. */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(text)
}

/** The bytes of base64, of the URL's alphabet too. @throws DOMException when it is none. */
export function fromBase64(base64: string): Uint8Array {
  const text = atob(base64.replaceAll('-', '+').replaceAll('_', '/'))
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

const enums = new Map<EnumShape, ReadonlyMap<string | number, number | string>>()

/**
 * The values of an enum both ways: numbers by name, names by number.
 *
 * @param shape - the enum.
 */
export function valuesOf(shape: EnumShape): ReadonlyMap<string | number, number | string> {
  let values = enums.get(shape)
  if (!values) {
    const [, ...names] = shape.split(' ')
    let next = 0
    values = new Map(
      names.flatMap((text): [string | number, number | string][] => {
        const [name = '', number = next] = text.split('=')
        next = Number(number) + 1
        return [
          [name, next - 1],
          [next - 1, name],
        ]
      }),
    )
    enums.set(shape, values)
  }
  return values
}

/** The number of an enum's value by its name, short (`completed`) or full (`JOB_STATE_COMPLETED`); undefined when there is none. */
export function enumNumber(shape: EnumShape, name: string): number | undefined {
  const [prefix = ''] = shape.split(' ')
  const short = prefix !== '' && name.startsWith(prefix) ? name.slice(prefix.length).toLowerCase() : name
  return valuesOf(shape).get(short) as number | undefined
}
