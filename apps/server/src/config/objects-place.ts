/** Where the bytes of objects are kept. */
export type ObjectsPlace =
  | {
      readonly kind: 'disk'
      /** '' : in the data directory. */
      readonly folder: string
    }
  | ({ readonly kind: 's3' } & S3Place)

/** A bucket of an S3 server. */
export interface S3Place {
  readonly bucket: string
  /** What the names of its objects begin with; '' or ends with a slash. */
  readonly prefix: string
  /** URL of the server; absent: AWS. */
  readonly endpoint?: string
  /** Absent: what the environment says, as AWS's SDKs have it. */
  readonly region?: string
  /** True: the bucket is in the path of URLs and not in their host. */
  readonly pathStyle: boolean
}

const help =
  'give disk: (in the data directory), disk:DIR or s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION&pathStyle=true]; credentials belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'

/** Reads `disk:`, `disk:DIR` or `s3://BUCKET[/PREFIX][?endpoint=…&region=…&pathStyle=…]`. Its errors never show the text: it may hold a secret. */
export function readObjectsPlace(text: string): ObjectsPlace {
  if (text.startsWith('disk:') && !text.startsWith('disk://')) return { kind: 'disk', folder: text.slice('disk:'.length) }
  const url = text.startsWith('s3://') ? URL.parse(text) : null
  if (!url) throw new Error(`not a place for objects that this version knows; ${help}`)
  if (url.username !== '' || url.password !== '') throw new Error(`the URL has credentials; ${help}`)
  const { endpoint, region, pathStyle, ...others } = Object.fromEntries(url.searchParams)
  const [other] = Object.keys(others)
  if (other !== undefined) throw new Error(`the URL has an unknown parameter, '${other}'; ${help}`)
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(url.host)) throw new Error(`the URL names no bucket; ${help}`)
  const path = url.pathname.replace(/^\/+|\/+$/g, '')
  if (!/^[\w./-]*$/.test(path)) throw new Error(`the prefix may have letters, digits, and . _ - / alone; ${help}`)
  if (pathStyle !== undefined && pathStyle !== 'true' && pathStyle !== 'false')
    throw new Error(`pathStyle is neither true nor false; ${help}`)
  return {
    kind: 's3',
    bucket: url.host,
    prefix: path === '' ? '' : `${path}/`,
    ...(endpoint !== undefined && { endpoint: readEndpoint(endpoint) }),
    ...(region !== undefined && { region }),
    pathStyle: pathStyle === undefined ? endpoint !== undefined : pathStyle === 'true',
  }
}

function readEndpoint(text: string): string {
  const url = URL.parse(text)
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && url.search === '' && url.hash === '')
    return url.href
  throw new Error(`endpoint is not the URL of a server, such as https://s3.example.com; ${help}`)
}
