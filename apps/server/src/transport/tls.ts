/** Files of TLS. */
export interface TlsFiles {
  /** Certificate chain of the server, PEM. */
  readonly cert: string
  /** Its private key, PEM. */
  readonly key: string
  /** Certificate authorities of clients, PEM; clients must have a certificate then. */
  readonly clientCa?: string
}
