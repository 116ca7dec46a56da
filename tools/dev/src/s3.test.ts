import { expect, it } from 'vitest'
import { startS3 } from './s3.ts'

it('an S3 server keeps what it is sent, knows its key, and leaves nothing behind', async () => {
  await using s3 = await startS3()
  const headers = { authorization: `AWS ${s3.env.AWS_ACCESS_KEY_ID}:x`, date: new Date().toUTCString() }
  const url = `${s3.endpoint}/${s3.bucket}/a/b`
  expect((await fetch(url, { method: 'PUT', headers, body: 'text' })).status).toBe(200)
  expect(await (await fetch(url, { headers: { ...headers, range: 'bytes=1-2' } })).text()).toBe('ex')
  const uploads = await fetch(`${s3.endpoint}/${s3.bucket}?uploads`, { headers })
  expect(await uploads.text()).toContain('<ListMultipartUploadsResult>')
  expect((await fetch(url, { headers: { ...headers, authorization: 'AWS other:x' } })).status).toBe(403)
})
