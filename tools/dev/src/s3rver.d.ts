// What is used here of s3rver, which brings no types.
declare module '@20minutes/s3rver' {
  interface Context {
    readonly method: string
    readonly path: string
    readonly query: Readonly<Record<string, string | undefined>>
    status: number
    type: string
    body: unknown
  }

  interface Store {
    getResourcePath(bucket: string, key: string | undefined, resource: string): string
    deleteObject(bucket: string, key: string): Promise<void>
  }

  class S3rver {
    constructor(options: {
      readonly address: string
      readonly port: number
      readonly directory: string
      readonly silent: boolean
      readonly vhostBuckets: boolean
      readonly allowMismatchedSignatures: boolean
      readonly allowMismatchedSignatures: boolean
      readonly configureBuckets: readonly { readonly name: string }[]
    })
    readonly store: Store
    /** Koa's: the first sees a request first. */
    readonly middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[]
    run(): Promise<{ readonly port: number }>
  }

  export = S3rver
}
