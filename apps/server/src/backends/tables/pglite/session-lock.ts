import type { PGlite } from '@electric-sql/pglite'

/** `GucContext` of Postgres: who may change a setting. */
const internal = 0
const user = 6

/** The parts of PGlite's WebAssembly module that are used here. */
interface Module {
  readonly HEAPU8: Uint8Array
  _malloc(bytes: number): number
  _find_option(name: number, createPlaceholders: number, skipErrors: number, errorLevel: number): number
}

/**
 * PGlite has one connection, whose login is a superuser, and any function could go back to it with `RESET SESSION
 * AUTHORIZATION`. This makes the setting one that nothing in SQL can change, as `server_version` is, but for the moments in
 * which the server itself logs in as somebody else. So the connection is what one of a Postgres server is that was logged in as a
 * role.
 */
export class SessionLock {
  readonly #module: Module
  readonly #address: number

  /**
   * @throws when this build of PGlite is not the one this was made for: better no tables than open ones.
   */
  constructor(database: PGlite) {
    this.#module = (database as unknown as { readonly Module: Module }).Module
    const name = new TextEncoder().encode('session_authorization\0')
    const text = this.#module._malloc(name.length)
    this.#module.HEAPU8.set(name, text)
    // `struct config_generic` begins with its name and its context.
    const option = this.#module._find_option(text, 0, 1, 0)
    this.#address = option + 4
    if (option === 0 || this.#context !== user) throw new Error('This build of PGlite keeps its settings in another way.')
  }

  get #context(): number {
    return new DataView(this.#module.HEAPU8.buffer).getInt32(this.#address, true)
  }

  set #context(value: number) {
    new DataView(this.#module.HEAPU8.buffer).setInt32(this.#address, value, true)
  }

  /** From now on nothing can change whom the connection is logged in as. */
  lock(): void {
    this.#context = internal
  }

  /** Allows it again. Nothing but the server's own texts may run then. */
  unlock(): void {
    this.#context = user
  }
}
