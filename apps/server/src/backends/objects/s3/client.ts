import { createHash } from 'node:crypto'
import { S3, type S3ClientConfig } from '@aws-sdk/client-s3'

/** Where a bucket is. */
export interface S3Options {
  readonly bucket: string
  /** What the names of all blobs begin with; '' or ends with a slash. */
  readonly prefix: string
  /** URL of the server; absent: AWS. */
  readonly endpoint?: string
  /** Absent: what the environment says. */
  readonly region?: string
  /** True: the bucket is in the path of URLs and not in their host. */
  readonly pathStyle: boolean
}

/** Longest wait for a connection. */
const connectMs = 5000
/** Longest wait for the answer to a request, from its first byte on: a part of an object included. */
const answerMs = 60_000
/** Connections at a time. Each reader has one, however slowly it reads. */
const connections = 1000
/** The region of servers that have none. */
const usualRegion = 'us-east-1'

/** A client of any S3 server. Credentials come from where AWS's SDKs look for them. */
export function createClient({ endpoint, region, pathStyle }: S3Options): S3 {
  const agent = { maxSockets: connections }
  const config: S3ClientConfig = {
    ...(endpoint !== undefined && { endpoint }),
    ...(region !== undefined && { region }),
    ...(region === undefined && endpoint !== undefined && process.env.AWS_REGION === undefined && { region: usualRegion }),
    forcePathStyle: pathStyle,
    followRegionRedirects: true,
    // Many servers refuse the checksums that AWS came to later. What is sent is signed, and so are its bytes.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: connectMs,
      requestTimeout: answerMs,
      throwOnRequestTimeout: true,
      // Answers of which nothing comes any more are noticed by who reads them: a slow reader is none.
      socketTimeout: 0,
      socketAcquisitionWarningTimeout: answerMs,
      httpAgent: agent,
      httpsAgent: agent,
    },
  }
  const client = new S3(config)
  signDeletions(client)
  return client
}

/** S3 wants a checksum with a list of what to delete, and MD5 is the one that all servers take. */
function signDeletions(client: S3): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        const { request } = args as { request: { headers: Record<string, string>; body?: string | Uint8Array } }
        if (commandName !== 'DeleteObjectsCommand' || request.body === undefined) return next(args)
        for (const name of Object.keys(request.headers)) {
          if (/^x-amz-(sdk-)?checksum-/i.test(name)) delete request.headers[name]
        }
        request.headers['content-md5'] = createHash('md5').update(request.body).digest('base64')
        return next(args)
      },
    { step: 'build', priority: 'low', name: 'millraceMd5' },
  )
}
