import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { DuckDBInstance } from '@duckdb/node-api'
import { Slots } from '../../../slots.ts'
import { isFatal } from './failure.ts'
import { databaseFile, spillPrefix, stagingDirectory } from './files.ts'
import { Gate } from './gate.ts'
import { type Connected, Lease } from './lease.ts'
import type { HostLimits } from './protocol.ts'

/** How often, and after how many milliseconds, a file is tried again that the process of a killed server may still hold. */
const lockTries = 40
const lockWaitMs = 50
/** Queries and statements of one database that run at a time. Each keeps a thread of the process, and all databases share those. */
const atATime = 4

interface OpenDatabase {
  readonly instance: DuckDBInstance
  readonly spill: string
  readonly staging: string
  /** Who changes something goes through it. */
  readonly gate: Gate
  readonly slots: Slots
  readonly leases: Set<Promise<Lease>>
  /** The next connection: made while nobody waits for it. */
  spare: Promise<Connected>
}

/** The databases that are open, each once. */
export class OpenDatabases {
  readonly #limits: HostLimits
  readonly #open = new Map<string, Promise<OpenDatabase>>()
  readonly #closing = new Map<string, Promise<void>>()

  constructor(limits: HostLimits) {
    this.#limits = limits
  }

  /**
   * Uses a connection of its own to a database: what one caller sets there no other sees.
   *
   * @param at - the database's directory.
   */
  async use<T>(at: string, work: (lease: Lease) => Promise<T>): Promise<T> {
    const lease = await this.connect(at)
    try {
      return await work(lease)
    } catch (error) {
      // DuckDB takes nothing more on such an instance. The release waits for this use, and so nobody here for the release.
      if (isFatal(error)) this.release(at).catch(() => undefined)
      throw error
    } finally {
      // After the answer is on its way, and before anything that comes in reply to it.
      setImmediate(() => lease.close())
    }
  }

  /** A connection that its user closes. */
  async connect(at: string): Promise<Lease> {
    const open = await this.#get(at)
    const connecting = open.spare.then((connected) => new Lease(connected, open, () => open.leases.delete(connecting)))
    open.leases.add(connecting)
    connecting.catch(() => open.leases.delete(connecting))
    open.spare = connect(open.instance)
    return connecting
  }

  /** Where the server puts files for a database, relative to the directory of all. */
  async staging(at: string): Promise<string> {
    return (await this.#get(at)).staging
  }

  /** Closes a database, with all that its log holds brought into its file. What runs on it is ended. */
  async release(at: string): Promise<void> {
    const opening = this.#open.get(at)
    if (!opening) return this.#closing.get(at)
    this.#open.delete(at)
    const closing = this.#close(opening).finally(() => this.#closing.delete(at))
    this.#closing.set(at, closing)
    return closing
  }

  /** Closes every database. */
  async releaseAll(): Promise<void> {
    for (const at of [...this.#open.keys()]) await this.release(at)
  }

  #get(at: string): Promise<OpenDatabase> {
    let opening = this.#open.get(at)
    if (!opening) {
      opening = this.#openFile(at)
      this.#open.set(at, opening)
      const failed = opening
      opening.catch(() => {
        if (this.#open.get(at) === failed) this.#open.delete(at)
      })
    }
    return opening
  }

  /** The file is closed with the last connection, and must be before anybody opens it again. */
  async #close(opening: Promise<OpenDatabase>): Promise<void> {
    const open = await opening.catch(() => undefined)
    if (!open) return
    const ended: Promise<void>[] = []
    for (const lease of await Promise.allSettled(open.leases)) if (lease.status === 'fulfilled') ended.push(lease.value.end())
    await Promise.all(ended)
    await open.spare.then(
      ({ connection }) => connection.closeSync(),
      () => undefined,
    )
    open.instance.closeSync()
    await rm(open.spill, { recursive: true, force: true })
  }

  async #openFile(at: string): Promise<OpenDatabase> {
    await this.#closing.get(at)
    const path = `${at}/${databaseFile}`
    for (let tries = 1; ; tries++) {
      try {
        return await this.#create(path, at)
      } catch (error) {
        if (tries === lockTries || !/Could not set lock/.test(String(error))) throw error
        await sleep(lockWaitMs)
      }
    }
  }

  async #create(path: string, at: string): Promise<OpenDatabase> {
    const { memory, threads, spill } = this.#limits
    const spillDirectory = `${spillPrefix}${randomUUID()}`
    const staging = `${at}/${spillDirectory}/${stagingDirectory}`
    const instance = await DuckDBInstance.create(path, {
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      allow_persistent_secrets: 'false',
      extension_directory: 'none',
      home_directory: 'none',
      secret_directory: 'none',
      memory_limit: `${memory}B`,
      threads: String(threads),
      temp_directory: `${at}/${spillDirectory}`,
      max_temp_directory_size: `${spill}B`,
      errors_as_json: 'true',
      // After the directory that it spares, and before the file is read: what a database holds may be from anywhere.
      enable_external_access: 'false',
    })
    const connection = await instance.connect()
    // From here on the instance cannot be loosened again.
    for (const lock of ["SET TimeZone = 'UTC'", 'SET lock_configuration = true']) await connection.run(lock)
    connection.closeSync()
    // Who holds the file has no other to share the directory with: the rest is of processes that were killed.
    for (const name of await readdir(at)) {
      if (name.startsWith(spillPrefix) && name !== spillDirectory) await rm(`${at}/${name}`, { recursive: true, force: true })
    }
    await mkdir(staging, { recursive: true })
    const shared = { gate: new Gate(), slots: new Slots(atATime), leases: new Set<Promise<Lease>>() }
    return { instance, staging, spill: `${at}/${spillDirectory}`, ...shared, spare: connect(instance) }
  }
}

/** Makes a connection. Whoever gets it learns of a failure. */
function connect(instance: DuckDBInstance): Promise<Connected> {
  const connecting = instance.connect().then(async (connection) => ({ connection, probe: await connection.prepare('SELECT 1') }))
  connecting.catch(() => undefined)
  return connecting
}
