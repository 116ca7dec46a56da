import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ServiceProcess, startServiceProcess } from './service-process.ts'

/** A private S3 server with one bucket. */
export interface S3 extends ServiceProcess {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string
  readonly bucket: string
  /** Where a server of Millrace keeps its objects there: for `--objects`. */
  readonly url: string
  /** The credentials that it takes, as AWS's SDKs read them from the environment. */
  readonly env: { readonly AWS_ACCESS_KEY_ID: string; readonly AWS_SECRET_ACCESS_KEY: string; readonly AWS_REGION: string }
}

const bucket = 'millrace'

/**
 * Starts an S3 server on a free port, with an empty bucket.
 *
 * @param parentDir - where its folder is made. Default: the system's folder for temporary files.
 */
export async function startS3(parentDir = tmpdir()): Promise<S3> {
  const dir = mkdtempSync(join(parentDir, 'millrace-s3-'))
  const service = await startServiceProcess({
    name: 'the S3 server',
    command: process.execPath,
    args: [fileURLToPath(new URL('s3-program.ts', import.meta.url)), dir, bucket],
    dir,
    ifMissing: 'node was not found.',
    isReady: (line) => line.startsWith('S3 is ready'),
    readyTimeout: 30_000,
  })
  const port = service.readyLine.split(' ').at(-1)
  const env = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER', AWS_REGION: 'us-east-1' }
  const endpoint = `http://127.0.0.1:${port}`
  return { ...service, endpoint, bucket, url: `s3://${bucket}/objects?endpoint=${endpoint}`, env }
}
