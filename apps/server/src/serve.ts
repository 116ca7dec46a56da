import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Backups } from './backups.ts'
import { type Clock, systemClock } from './clock.ts'
import { composeDomain } from './compose-domain.ts'
import { composeServices } from './compose-services.ts'
import { readAttestationPolicy } from './config/attestation.ts'
import { resolveConfig } from './config/load.ts'
import type { ServerConfig, ServerSettings } from './config/settings.ts'
import { formatAddress } from './config/values.ts'
import { Attestor } from './domain/attestation/attestor.ts'
import { defaultRetryPolicy, retryPlanner } from './domain/jobs/retry.ts'
import { bootstrapKeys } from './domain/keys/bootstrap.ts'
import { Keyring } from './domain/keys/keyring.ts'
import { RateLimits } from './domain/keys/rate-limits.ts'
import { MillraceError } from './errors.ts'
import { startError } from './explain-start.ts'
import { createLogger } from './logger.ts'
import { makeDirectory } from './make-directory.ts'
import { Metrics } from './metrics.ts'
import { allServices, type ServiceName } from './service-names.ts'
import { createHealth, type Health } from './services/health.ts'
import { createObjectService } from './services/object-service.ts'
import { offer } from './services/offer.ts'
import { StartError } from './start-error.ts'
import type { Store } from './store/ports.ts'
import { openSqliteStore } from './store/sqlite/open.ts'
import { sqlitePath } from './stores.ts'
import { CallLifetimes } from './transport/call-lifetimes.ts'
import { type GrpcServer, startGrpcServer } from './transport/grpc/server.ts'
import { DurableStreamsMount } from './transport/http/durable-streams/mount.ts'
import { createObjectMount } from './transport/http/objects/object-mount.ts'
import { type HttpServer, startHttpServer } from './transport/http/server.ts'
import { version } from './version.ts'

/** A server that serves. */
export interface RunningServer {
  /** Where gRPC is served, `host:port`. */
  readonly grpc: string
  /** Where HTTP is served, `host:port`; undefined when it is off. */
  readonly http?: string
  /** The key made for `dev`. */
  readonly key?: string
  /** What the operator should know before the first call, when there is something. */
  readonly notice?: string
  /** When time next does something to a job, in milliseconds since 1970: the end of a delay, a backoff, a window, a lease. */
  nextDueAt(): Promise<number | undefined>
  /**
   * Stops serving: health says so, long calls end so that their callers connect elsewhere, calls in flight are finished
   * within `shutdownGrace`, and the store is closed. Calling it again waits for the same end.
   */
  stop(): Promise<void>
  /** Same as {@link RunningServer.stop}. */
  [Symbol.asyncDispose](): Promise<void>
}

/** What may be put in place of the real thing. */
export interface StartOptions {
  /** Source of time. Default: the machine's clock. */
  readonly clock?: Clock
  /** Where log lines go. Default: standard error. */
  readonly logger?: Logger
  /** Ends the wait for a database that cannot be reached. Default: it lasts until the database can be. */
  readonly signal?: AbortSignal
}

/**
 * Starts a server in this process: configuration, then store, then domain, then services, then transport. A database that is
 * away is waited for: servers and databases are often started together.
 *
 * @param settings - what differs from the defaults.
 * @throws {@link ConfigError} when a setting is wrong, {@link StartError} when the server cannot start.
 */
export async function startServer(settings: ServerSettings = {}, options: StartOptions = {}): Promise<RunningServer> {
  const config = resolveConfig(settings)
  const machine = options.clock ?? systemClock
  const own = options.logger ? undefined : createLogger({ level: config.logLevel, pretty: isPretty(config) })
  const logger = options.logger ?? own!.logger
  const closeLogger = async () => own?.close()
  for (let delay = firstWaitMs; ; delay = Math.min(delay * 2, longestWaitMs)) {
    try {
      return await start({ config, machine, logger, closeLogger })
    } catch (error) {
      const cause = error instanceof StartError ? error.cause : undefined
      const mends = cause instanceof MillraceError && cause.retryAfterMs !== undefined
      if (mends && !options.signal?.aborted) logger.error(`${cause.message} Trying again in ${delay} ms.`)
      else {
        await closeLogger()
        throw error
      }
    }
    // Keeps the process alive, as nothing else does yet.
    await sleep(delay, undefined, { signal: options.signal }).catch(async () => {
      await closeLogger()
      throw new StartError('Stopped before the database could be used.')
    })
  }
}

const firstWaitMs = 250
const longestWaitMs = 4000
/** How long calls may take to their end that were cut off when the grace was over. */
const lastCallsMs = 1000

interface Start {
  readonly config: ServerConfig
  readonly machine: Clock
  readonly logger: Logger
  readonly closeLogger: () => Promise<void>
}

async function start({ config, machine, logger, closeLogger }: Start): Promise<RunningServer> {
  // Before the store, so that what cannot be read leaves nothing open.
  const attestation = await readAttestationPolicy(config)
  const store = await openStore(config, machine)
  // All servers of one system go by one time.
  const clock: Clock = { now: () => store.now(), timer: (ms, fn) => machine.timer(ms, fn) }
  const onError = (err: unknown) => logger.error({ err }, 'background work failed')
  // What is in the store's directory is nobody else's, now that the store is open.
  const domain = await composeDomain({ config, store, clock, onError }).catch(async (error: unknown) => {
    await store.close()
    throw error
  })
  const { tables, analytics, objects, objectBackend } = domain
  const health = createHealth({ name: 'The store', check: () => store.check(), clock })
  const tablesHealth = createHealth({ name: 'The Postgres of the tables', check: () => tables.check(), clock })
  const backends: Partial<Record<ServiceName, Health>> = {
    objects: createHealth({ name: 'What keeps the objects', check: () => objectBackend.check(), clock }),
    analytics: createHealth({ name: 'DuckDB', check: () => analytics.check(), clock }),
    tables: tablesHealth,
    vectors: tablesHealth,
  }
  const keyring = new Keyring({ store: store.keys, clock })
  const lifetimes = new CallLifetimes(keyring)
  const rateLimits = new RateLimits(clock)
  const attestor = new Attestor(attestation, clock)
  const backups = new Backups({ store, clock, everyMs: config.backupEvery, keep: config.backupKeep, logger })
  const metrics = new Metrics()
  metrics.gauge('millrace_jobs', 'Jobs there are, by state, of all tenants together.', () => store.queues.totals())
  const closeAll = async () => {
    await backups.close()
    await domain.close()
    await store.close()
  }
  let grpc: GrpcServer | undefined
  let http: HttpServer | undefined
  const objectService = createObjectService({ objects, keyring, clock, publicUrl: () => publicUrlOf(config, http?.port) })
  const { payloadLimit } = config
  const offered = config.services ?? allServices
  const base = { config, store, domain, clock, keyring, rateLimits, attestor, logger, health, backends, offered, objectService }
  const services = offer(composeServices(base), offered)
  const shared = {
    tls: config.tlsCert && config.tlsKey ? { cert: config.tlsCert, key: config.tlsKey, clientCa: config.tlsClientCa } : undefined,
    payloadLimit,
    services,
    keyring,
    lifetimes,
    rateLimits,
    logger,
    metrics,
    health,
    clock,
  }
  let first: Awaited<ReturnType<typeof bootstrapKeys>>
  try {
    if (config.backupTo) await backups.start(resolve(config.backupTo))
    first = await bootstrapKeys({ keyring, clock, rootKey: config.rootKey, dev: config.dev })
    grpc = await startGrpcServer({ ...shared, address: config.grpc })
    const durable = new DurableStreamsMount({
      streams: store.streams,
      engine: domain.streams,
      schemas: domain.schemas,
      clock,
      payloadLimit,
    })
    const bytes = createObjectMount({ service: objectService, objects, keyring, clock })
    const mounts = [...(offered.includes('streams') ? [durable] : []), ...(offered.includes('objects') ? [bytes] : [])]
    if (config.http !== 'off') http = await startHttpServer({ ...shared, mounts, address: config.http, origins: config.httpOrigins })
  } catch (error) {
    await grpc?.stop(0)
    await closeAll()
    throw startError(error, config, grpc && config.http !== 'off' ? ['--http', config.http] : undefined)
  }

  const address = formatAddress({ host: config.grpc.host, port: grpc.port })
  const httpAddress = http && config.http !== 'off' ? formatAddress({ host: config.http.host, port: http.port }) : undefined
  logger.info({ grpc: address, http: httpAddress, version, data: resolve(config.data) }, 'serving')
  if (first.notice) logger.warn(first.notice)
  for (const service of offered) {
    void backends[service]?.problem().then((problem) => {
      if (problem && !stopped) logger.warn({ service }, problem)
    })
  }

  const stopOnce = async () => {
    logger.info('stopping')
    const begun = performance.now()
    health.stop()
    lifetimes.drain()
    await Promise.all([grpc.stop(config.shutdownGrace), http?.stop(config.shutdownGrace)])
    // Some go on without their callers, and have jobs to give back or memberships to end while the store takes it.
    await lifetimes.over(Math.max(begun + config.shutdownGrace - performance.now(), lastCallsMs))
    logger.info('stopped')
    await closeAll()
    await closeLogger()
  }
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= stopOnce()
    return stopped
  }
  const nextDueAt = () => store.jobs.nextDueAt()
  return { grpc: address, http: httpAddress, key: first.secret, notice: first.notice, nextDueAt, stop, [Symbol.asyncDispose]: stop }
}

/** Where HTTP is reached from outside: as the settings say, else where it is served. */
function publicUrlOf({ publicUrl, http, tlsCert }: ServerConfig, port: number | undefined): string {
  if (publicUrl !== undefined || http === 'off' || port === undefined) return publicUrl ?? ''
  // An address of every network is none that can be called.
  const host = http.host === '0.0.0.0' || http.host === '::' ? 'localhost' : http.host
  return `${tlsCert ? 'https' : 'http'}://${formatAddress({ host, port })}`
}

async function openStore(config: ServerConfig, clock: Clock): Promise<Store> {
  try {
    const options = {
      planRetry: retryPlanner(),
      defaultRetry: defaultRetryPolicy,
      defaultMaxDepth: config.queueDepth,
      now: () => clock.now(),
    }
    if (config.store.startsWith('postgres')) {
      // The driver is loaded for those alone who use it.
      const { openPostgresStore } = await import('./store/postgres/open.ts')
      return await openPostgresStore({ ...options, url: config.store, completedMs: config.retentionCompleted })
    }
    await makeDirectory(config.data)
    return await openSqliteStore({ ...options, path: sqlitePath(config) })
  } catch (error) {
    throw startError(error, config)
  }
}

function isPretty({ logFormat, dev }: ServerConfig): boolean {
  return logFormat === 'pretty' || (logFormat === 'auto' && dev && process.stderr.isTTY === true)
}
