import type { Option } from './command.ts'

/** Flags of every command that calls a server. */
export const clientOptions: readonly Option[] = [
  {
    name: 'endpoint',
    placeholder: 'HOST:PORT',
    help: 'The server; https://HOST:PORT for TLS.',
    default: 'localhost:50051',
    variable: 'MILLRACE_ENDPOINT',
  },
  { name: 'key', placeholder: 'KEY', help: 'The API key.', variable: 'MILLRACE_API_KEY' },
  { name: 'namespace', placeholder: 'NAME', help: 'The namespace.', default: 'default', variable: 'MILLRACE_NAMESPACE' },
  { name: 'tls-ca', placeholder: 'FILE', help: 'Certificate authorities to trust (PEM), for https:// endpoints. Default: those of Node.' },
  { name: 'tls-cert', placeholder: 'FILE', help: 'Certificate of this client (PEM), for servers that want one.' },
  { name: 'tls-key', placeholder: 'FILE', help: 'Its private key (PEM).' },
  { name: 'json', help: 'Write results as JSON, one value a line.' },
]
