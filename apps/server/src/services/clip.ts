/**
 * Keeps the beginning of a text that a worker sent.
 *
 * @param max - bytes of UTF-8 kept at most.
 */
export function clip(text: string, max: number): string {
  if (text.length * 3 <= max) return text
  const bytes = Buffer.from(text)
  if (bytes.length <= max) return text
  let end = max
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end-- // not inside a character
  return bytes.toString('utf8', 0, end)
}
