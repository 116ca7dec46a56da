import { createHash } from 'node:crypto'
import type { GetObjectResponse, PutObjectHeader } from '@millrace/protocol'
import { CallError } from './command.ts'

/** An object as the messages of a call: its header, its bytes, their digest. */
export async function* send(header: PutObjectHeader, source: AsyncIterable<Uint8Array>, progress: (sent: number) => void) {
  yield { message: { $case: 'header', value: header } as const }
  const hash = createHash('sha256')
  let sent = 0
  for await (const value of source) {
    hash.update(value)
    yield { message: { $case: 'data', value } as const }
    sent += value.length
    progress(sent)
  }
  yield { message: { $case: 'sha256', value: hash.digest('hex') } as const }
}

/** The bytes of an object; those of a whole one are checked. */
export async function* receive(
  messages: AsyncIterable<GetObjectResponse>,
  progress: (came: number, all: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256')
  let expected = ''
  let all = 0
  let came = 0
  for await (const { message } of messages) {
    if (message?.$case === 'header') {
      const { object, length } = message.value
      all = length
      expected = length === object!.size ? object!.sha256 : ''
    } else if (message?.$case === 'data') {
      hash.update(message.value)
      came += message.value.length
      progress(came, all)
      yield message.value
    }
  }
  if (came !== all || (expected !== '' && hash.digest('hex') !== expected))
    throw new CallError('The bytes are not those that were written: read it again.')
}
