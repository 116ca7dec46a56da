import { allServices } from '../service-names.ts'
import {
  address,
  addressOrOff,
  choice,
  choices,
  count,
  duration,
  httpUrl,
  objectsUrl,
  originList,
  type Read,
  secret,
  size,
  storeUrl,
  tablesUrl,
  text,
  toggle,
} from './values.ts'

const minute = 60_000
const day = 24 * 60 * minute
const mebibyte = 1024 ** 2

/** One thing that can be set: the one place from which its flag, variable, key in a file, check and help come. */
export interface Setting<T = unknown> {
  /** Checks a value from any source and makes it what the server uses. */
  readonly read: Read<T>
  /** Used when no source sets it, written as a user would; absent means unset. */
  readonly default?: string | number | boolean
  /** What stands for the value in help; absent for switches. */
  readonly placeholder?: string
  /** What it does, one sentence or two. */
  readonly help: string
  /** True: only from the environment or a file, so that it does not show in process lists; never printed. */
  readonly secret?: boolean
}

/**
 * Every setting of `millrace serve`, by its name in a file. The flag is the name in kebab case (`--payload-limit`), the
 * variable in upper snake case (`MILLRACE_PAYLOAD_LIMIT`).
 */
export const settings = {
  /** Directory of everything the server keeps. */
  data: { read: text, default: './.millrace', placeholder: 'DIR', help: 'Directory of everything the server keeps; made when missing.' },
  /** Where jobs are kept. */
  store: {
    read: storeUrl,
    default: 'sqlite:',
    placeholder: 'URL',
    help: 'Where jobs are kept: sqlite: (in the data directory), sqlite:DIR, or postgres://USER:PASSWORD@HOST:PORT/DATABASE, which several servers may share.',
  },
  /** Where tables are kept. */
  tables: {
    read: tablesUrl,
    default: 'pglite:',
    placeholder: 'URL',
    help: 'Where tables are kept: pglite: (a Postgres inside the server, in the data directory), pglite:DIR, or postgres://USER:PASSWORD@HOST:PORT/DATABASE, a database of its own and a user that may make roles in it.',
  },
  /** Longest statement on tables. */
  tablesTimeout: {
    read: duration({ min: 100, max: 60 * minute }),
    default: '30s',
    placeholder: 'TIME',
    help: 'Longest statement on tables; then it is ended.',
  },
  /** Where the bytes of objects are kept. */
  objects: {
    read: objectsUrl,
    default: 'disk:',
    placeholder: 'URL',
    help: 'Where the bytes of objects are kept: disk: (in the data directory), disk:DIR, or s3://BUCKET/PREFIX?endpoint=URL&region=REGION&pathStyle=true, a bucket of any S3 server. Its credentials are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or where else AWS looks for them.',
  },
  /** Largest object, in bytes. */
  objectLimit: {
    read: size({ min: mebibyte, max: 5 * 1024 * 1024 * mebibyte }),
    default: '100GiB',
    placeholder: 'SIZE',
    help: 'Largest object, or part of an object, that is sent at once. Up to 5TiB, as text such as 5120GiB.',
  },
  /** Where HTTP is reached from outside. */
  publicUrl: {
    read: httpUrl,
    placeholder: 'URL',
    help: 'Where HTTP is reached from outside, such as https://api.example.com: the beginning of URLs that the server makes. Default: where it is served.',
  },
  /** Where gRPC is served. */
  grpc: {
    read: address,
    default: '127.0.0.1:50051',
    placeholder: 'HOST:PORT',
    help: 'Where gRPC is served. Port 0 picks a free one; 0.0.0.0 serves every network.',
  },
  /** Where HTTP is served. */
  http: {
    read: addressOrOff,
    default: '127.0.0.1:50080',
    placeholder: 'HOST:PORT',
    help: 'Where HTTP is served: REST, live events, the API description, health and metrics. off turns it off. Without it, and with port 0 for gRPC, a free port.',
  },
  /** Origins whose pages may call over HTTP. */
  httpOrigins: {
    read: originList,
    default: '*',
    placeholder: 'ORIGINS',
    help: 'Origins whose pages may call over HTTP, with commas: https://app.example.com. * is any: calls carry their key in a header and no cookie, so a page without a key gains nothing. none is none.',
  },
  /** What this server offers. */
  services: {
    read: choices(allServices),
    placeholder: 'NAMES',
    help: `What this server offers, with commas, of ${allServices.join(', ')}. One process may do all, or each its part on its own port. Default: all.`,
  },
  /** Largest payload or result, in bytes. */
  payloadLimit: {
    read: size({ min: 1024, max: 256 * mebibyte }),
    default: '4MiB',
    placeholder: 'SIZE',
    help: 'Largest payload or result of one job. Up to 256MiB.',
  },
  /** Most jobs that may wait in a queue without a limit of its own. */
  queueDepth: {
    read: count({ min: 1, max: 1e12 }),
    default: 10_000_000,
    placeholder: 'N',
    help: 'Most jobs that may wait in one queue, unless the queue has a limit of its own; more are refused until it drains.',
  },
  /** How long completed jobs are kept. */
  retentionCompleted: {
    read: duration({ min: 0, max: 3660 * day }),
    default: '24h',
    placeholder: 'TIME',
    help: 'How long completed jobs and their results are kept.',
  },
  /** How long failed jobs are kept. */
  retentionFailed: {
    read: duration({ min: 0, max: 3660 * day }),
    default: '14d',
    placeholder: 'TIME',
    help: 'How long failed jobs (dead letters) are kept.',
  },
  /** How long cancelled jobs are kept. */
  retentionCancelled: {
    read: duration({ min: 0, max: 3660 * day }),
    default: '24h',
    placeholder: 'TIME',
    help: 'How long cancelled jobs are kept.',
  },
  /** How long requests are remembered. */
  retentionRequests: {
    read: duration({ min: minute, max: 366 * day }),
    default: '24h',
    placeholder: 'TIME',
    help: 'How long a request is remembered, so that its repeat answers as the first did.',
  },
  /** Where the SQLite store is copied to from time to time. */
  backupTo: {
    read: text,
    placeholder: 'DIR',
    help: 'Directory to which a running server copies its SQLite store from time to time; made when missing. Unset: no copies. A Postgres store is backed up with its own tools.',
  },
  /** Time between two copies. */
  backupEvery: {
    read: duration({ min: minute, max: 366 * day }),
    default: '24h',
    placeholder: 'TIME',
    help: 'Time between two copies.',
  },
  /** How many copies are kept. */
  backupKeep: { read: count({ min: 1, max: 10_000 }), default: 7, placeholder: 'N', help: 'How many copies are kept; the oldest go.' },
  /** How long a stopping server waits for calls in flight. */
  shutdownGrace: {
    read: duration({ min: 0, max: 60 * minute }),
    default: '10s',
    placeholder: 'TIME',
    help: 'How long a stopping server waits for calls in flight.',
  },
  /** Certificate of the server; turns TLS on. */
  tlsCert: { read: text, placeholder: 'FILE', help: 'Certificate chain of the server (PEM). Turns TLS on, together with --tls-key.' },
  /** Private key of the certificate. */
  tlsKey: { read: text, placeholder: 'FILE', help: 'Private key of the certificate (PEM).' },
  /** Certificate authorities of clients; turns mutual TLS on. */
  tlsClientCa: {
    read: text,
    placeholder: 'FILE',
    help: 'Certificate authorities of clients (PEM). Turns mutual TLS on: clients without a certificate are refused.',
  },
  /** Intel collateral for evidence that brings none. */
  attestationCollateral: {
    read: text,
    placeholder: 'PATH',
    help: 'Intel collateral (JSON) for evidence of workers that brings none: a file, or a directory of files.',
  },
  /** Root certificates of AMD. */
  attestationAmdRoots: {
    read: text,
    placeholder: 'PATH',
    help: 'Root certificates of AMD (ARK, PEM) to trust beside those for Milan, Genoa and Turin, which are built in: a file, or a directory of files that end in .pem.',
  },
  /** Revocation lists of AMD. */
  attestationAmdCrls: {
    read: text,
    placeholder: 'PATH',
    help: 'Revocation lists of AMD (DER, as its key server gives them): a file, or a directory of files that end in .crl. With any, SEV-SNP evidence needs one of its root that is valid. Default: none is checked.',
  },
  /** Measurements of workers that may have tasks that require a trusted execution environment. */
  attestationMeasurements: {
    read: text,
    placeholder: 'HEX,…',
    help: 'Measurements of the code of workers that may have tasks which require a trusted execution environment, with commas between them. Default: any that is verified.',
  },
  /** Accept simulated evidence. */
  attestationSimulated: {
    read: toggle,
    default: false,
    help: 'For development: accepts simulated evidence of workers, which proves nothing and is always reported as simulated.',
  },
  /** Send webhooks to addresses that are not public, too. */
  webhookAllowPrivate: {
    read: toggle,
    default: false,
    help: 'Webhooks may lead to private, loopback and link-local addresses, too: whoever may make webhooks reaches what this machine reaches.',
  },
  /** Databases open at a time. */
  analyticsOpen: {
    read: count({ min: 1, max: 10_000 }),
    default: 16,
    placeholder: 'N',
    help: 'Analytical databases open at a time; those that nobody uses make room for others.',
  },
  /** How long a database that nobody uses stays open. */
  analyticsIdle: {
    read: duration({ min: 0, max: day }),
    default: '5m',
    placeholder: 'TIME',
    help: 'How long an analytical database that nobody uses stays open.',
  },
  /** Memory of one open database, in bytes. */
  analyticsMemory: {
    read: size({ min: 64 * mebibyte, max: 1024 * 1024 * mebibyte }),
    default: '512MiB',
    placeholder: 'SIZE',
    help: 'Memory of one open analytical database; queries that need more use the disk.',
  },
  /** What one open database may put aside on the disk, in bytes. */
  analyticsSpill: {
    read: size({ min: 0, max: 1024 * 1024 * mebibyte }),
    default: '4GiB',
    placeholder: 'SIZE',
    help: 'What one open analytical database may put aside on the disk while it works, beside what it keeps.',
  },
  /** Threads of one open database. */
  analyticsThreads: {
    read: count({ min: 1, max: 1024 }),
    default: 2,
    placeholder: 'N',
    help: 'Threads that one open analytical database works with.',
  },
  /** Longest time of a statement. */
  analyticsTimeout: {
    read: duration({ min: 1, max: day }),
    default: '5m',
    placeholder: 'TIME',
    help: 'Longest time of one statement of SQL.',
  },
  /** Least serious log lines written. */
  logLevel: {
    read: choice(['debug', 'info', 'warn', 'error', 'silent']),
    default: 'info',
    placeholder: 'LEVEL',
    help: 'Least serious log lines written: debug, info, warn, error or silent. debug has a line for each call.',
  },
  /** How log lines look. */
  logFormat: {
    read: choice(['auto', 'json', 'pretty']),
    default: 'auto',
    placeholder: 'FORMAT',
    help: 'How log lines look: json, pretty, or auto (pretty with --dev on a terminal, else json).',
  },
  /** The first administrator's key. */
  rootKey: {
    read: secret,
    secret: true,
    help: 'The first administrator key, at least 32 characters. It may do everything, for every tenant.',
  },
  /** Makes a ready key and prints it. */
  dev: { read: toggle, default: false, help: 'For development: makes a ready key, valid for 7 days, and prints it. Turns nothing off.' },
  /** Prints one line of JSON when ready. */
  json: {
    read: toggle,
    default: false,
    help: 'Prints one line of JSON when ready, {"grpc":"host:port","http":"host:port","key":…}, instead of the banner.',
  },
} as const satisfies Record<string, Setting>

/** The name of a setting. */
export type SettingName = keyof typeof settings

/** What a setting's reader yields. */
type Resolved<S> = S extends Setting & { readonly read: Read<infer T> } ? T : never

/** Names of settings that always have a value. */
type WithDefault = { [K in SettingName]: (typeof settings)[K] extends { readonly default: unknown } ? K : never }[SettingName]

/** All settings, checked: durations in milliseconds, sizes in bytes. Made by {@link resolveConfig}. */
export type ServerConfig = { readonly [K in WithDefault]: Resolved<(typeof settings)[K]> } & {
  readonly [K in Exclude<SettingName, WithDefault>]?: Resolved<(typeof settings)[K]>
}

/** Settings as a user gives them: what is left out has its default; durations and sizes may be text such as `30s`, `4MiB`. */
export type ServerSettings = { readonly [K in SettingName]?: Resolved<(typeof settings)[K]> | string | number | boolean }

/** `payloadLimit` → `--payload-limit` */
export function flagOf(name: string): string {
  return `--${kebab(name)}`
}

/** `payloadLimit` → `MILLRACE_PAYLOAD_LIMIT` */
export function variableOf(name: string): string {
  return `MILLRACE_${kebab(name).replaceAll('-', '_').toUpperCase()}`
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
