// An S3 server in a process of its own: s3rver on a free port over the folder and with the bucket that the arguments name. It
// keeps what it is sent in files.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import S3rver from '@20minutes/s3rver'

const [directory = '', bucket = ''] = process.argv.slice(2)
await mkdir(directory, { recursive: true })
const server = new S3rver({
  address: '127.0.0.1',
  port: 0,
  directory,
  silent: true,
  vhostBuckets: false,
  // Only the key's id is checked: it signs the path of a bucket without the slash at its end that AWS's SDK signs.
  allowMismatchedSignatures: true,
  configureBuckets: [{ name: bucket }],
})

// It removes empty folders, too, and so takes them away under who writes there at the moment.
server.store.deleteObject = async (name, key) => {
  for (const kind of ['object', 'object.md5', 'metadata.json']) await rm(server.store.getResourcePath(name, key, kind), { force: true })
}

// Two operations that it does not have. It refuses them when it has checked who asks.
server.middleware.unshift(async (context, next) => {
  try {
    return await next()
  } catch (error) {
    const { code } = error as { code?: string }
    const { method, query } = context
    const name = context.path.split('/')[1] ?? ''
    if (method === 'GET' && 'uploads' in query && code === 'NotImplemented') {
      context.type = 'application/xml'
      context.body = await listUploads(name, query.prefix ?? '')
    } else if (method === 'DELETE' && query.uploadId !== undefined && code === 'MethodNotAllowed') {
      await abortUpload(name, query.uploadId)
      context.status = 204
    } else throw error
  }
})

const { port } = await server.run()
console.log(`S3 is ready on port ${port}`)

/** All uploads of a bucket are in one folder, each in one of its own. */
const folderOf = (name: string) => server.store.getResourcePath(name, undefined, 'uploads')

async function listUploads(name: string, prefix: string): Promise<string> {
  const ids = await readdir(folderOf(name)).catch(() => [])
  const uploads = await Promise.all(
    ids.map(async (id) => ({ id, key: await readFile(join(folderOf(name), id, 'key'), 'utf8').catch(() => '') })),
  )
  const shown = uploads
    .filter(({ key }) => key !== '' && key.startsWith(prefix))
    .map(({ id, key }) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`)
  return `<?xml version="1.0"?><ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${shown.join('')}</ListMultipartUploadsResult>`
}

async function abortUpload(name: string, id: string): Promise<void> {
  if (/^[0-9a-f]+$/.test(id)) await rm(join(folderOf(name), id), { recursive: true, force: true })
}
