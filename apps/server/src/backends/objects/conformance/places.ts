import { randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startS3 } from '@millrace/dev'
import { readObjectsPlace, type S3Place } from '../../../config/objects-place.ts'
import type { ObjectBackend } from '../../../domain/objects/backend.ts'
import { DiskBackend } from '../disk/disk-backend.ts'
import { createClient } from '../s3/client.ts'
import { S3Backend } from '../s3/s3-backend.ts'

/** A backend in an empty place of its own. */
export interface Place extends AsyncDisposable {
  readonly backend: ObjectBackend
  /** Another backend over the same place, as another server has it. */
  open(): ObjectBackend
  /** Names of all that is kept, whole or not. */
  left(): Promise<readonly string[]>
}

async function diskPlace(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-objects-'))
  const open = () => new DiskBackend(folder)
  return {
    backend: open(),
    open,
    async left() {
      const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      return files.map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1)).sort()
    },
    async [Symbol.asyncDispose]() {
      rmSync(folder, { recursive: true })
    },
  }
}

/** A place in the bucket of a server. Credentials are in the environment. */
function s3Place(bucket: S3Place, end: () => Promise<void>): Place {
  const at = { ...bucket, prefix: `${bucket.prefix}test-${randomUUID()}/` }
  const client = createClient(at)
  const backend = new S3Backend(at)
  const within = { Bucket: at.bucket, Prefix: at.prefix }
  return {
    backend,
    open: () => new S3Backend(at),
    async left() {
      const { Contents = [] } = await client.listObjectsV2(within)
      const { Uploads = [] } = await client.listMultipartUploads(within)
      return [...Contents, ...Uploads].map(({ Key = '' }) => Key.slice(at.prefix.length)).sort()
    },
    async [Symbol.asyncDispose]() {
      await backend.close()
      client.destroy()
      await end()
    },
  }
}

/** A place at a private S3 server. */
async function privateS3(): Promise<Place> {
  const server = await startS3()
  Object.assign(process.env, server.env)
  return s3Place({ bucket: server.bucket, prefix: '', endpoint: server.endpoint, pathStyle: true }, server.stop)
}

/** `MILLRACE_TEST_S3_URL`: a bucket of a real server, with its credentials in the environment, to run the same tests there. */
const realUrl = process.env.MILLRACE_TEST_S3_URL

/** Where the conformance suite runs. */
export const places: readonly { readonly name: string; create(): Promise<Place> }[] = [
  { name: 'disk', create: diskPlace },
  { name: 's3', create: privateS3 },
  ...(realUrl === undefined
    ? []
    : [
        {
          name: 'a real S3',
          async create() {
            const place = readObjectsPlace(realUrl)
            if (place.kind !== 's3') throw new Error('MILLRACE_TEST_S3_URL is no s3:// URL')
            return s3Place(place, async () => undefined)
          },
        },
      ]),
]
