import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { nearest } from '../suggest.ts'
import { flagOf, type ServerConfig, type ServerSettings, type Setting, type SettingName, settings, variableOf } from './settings.ts'
import type { Address } from './values.ts'

/** The settings are wrong: the message has one line for each, saying which, from where, and what is allowed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** One line for each wrong setting. */
  readonly problems: readonly string[]

  /** @param problems - one line for each wrong setting. */
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

/** Where settings come from; each source wins over those after it. */
export interface ConfigSources {
  /** Values of flags, by the setting's name. */
  readonly flags?: Readonly<Record<string, string | boolean | undefined>>
  /** Environment variables. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** A settings file; without one, `millrace.config.{json,mjs,js,ts}` in the directory, when there is one. */
  readonly file?: string
  /** Where to look for the file. Default: the working directory. */
  readonly directory?: string
}

/** A value and where it was given, as shown in messages. */
interface Given {
  readonly value: unknown
  readonly place: string
}

const names = Object.keys(settings) as SettingName[]
const fileNames = ['millrace.config.json', 'millrace.config.mjs', 'millrace.config.js', 'millrace.config.ts']

/** Variables that belong to clients and may well be set where a server runs. */
const foreignVariables = ['MILLRACE_ENDPOINT', 'MILLRACE_API_KEY', 'MILLRACE_NAMESPACE', 'MILLRACE_LOG', 'MILLRACE_CONFIG']

/**
 * Gathers the settings: flag, then environment, then file, then default.
 *
 * @returns the settings and where they were found to be odd.
 * @throws {@link ConfigError}
 */
export async function loadConfig(sources: ConfigSources): Promise<{ config: ServerConfig; warnings: string[] }> {
  const env = sources.env ?? {}
  const path = findFile(sources.file ?? env.MILLRACE_CONFIG, sources.directory ?? process.cwd())
  const fromFile = path ? await readSettingsFile(path) : {}
  const given = new Map<SettingName, Given>()
  for (const name of names) {
    const flag = sources.flags?.[name]
    const variable = env[variableOf(name)]
    if (flag !== undefined) given.set(name, { value: flag, place: flagOf(name) })
    else if (variable !== undefined && variable !== '') given.set(name, { value: variable, place: `${variableOf(name)} (environment)` })
    else if (fromFile[name] !== undefined) given.set(name, { value: fromFile[name], place: `${name} (${path})` })
  }
  return { config: compile(given), warnings: unknownVariables(env) }
}

/**
 * Checks settings given in code and fills in defaults. Settings that were checked already pass unchanged.
 *
 * @param given - the settings.
 * @throws {@link ConfigError}
 */
export function resolveConfig(given: ServerSettings): ServerConfig {
  const known = new Map<SettingName, Given>()
  const problems: string[] = []
  for (const [name, value] of Object.entries(given)) {
    if (!(name in settings)) problems.push(unknownSetting(name, 'the settings given'))
    else if (value !== undefined) known.set(name as SettingName, { value, place: name })
  }
  if (problems.length) throw new ConfigError(problems)
  return compile(known)
}

/** Types the settings of a `millrace.config.ts`. */
export function defineConfig(given: ServerSettings): ServerSettings {
  return given
}

function compile(given: ReadonlyMap<SettingName, Given>): ServerConfig {
  const problems: string[] = []
  const config: Record<string, unknown> = {}
  for (const name of names) {
    const setting: Setting = settings[name]
    const { value, place } = given.get(name) ?? { value: setting.default, place: `${name} (default)` }
    if (value === undefined) continue
    try {
      config[name] = setting.read(value)
    } catch (error) {
      problems.push(`${place}: ${(error as Error).message}`)
    }
  }
  // Who asks for a free port runs several servers, or cannot know which ports are taken.
  if ((config.grpc as Address | undefined)?.port === 0 && !given.has('http')) config.http = { host: '127.0.0.1', port: 0 }
  const place = (name: SettingName) => given.get(name)?.place
  if (config.tlsCert && !config.tlsKey)
    problems.push(`${place('tlsCert')}: needs the certificate's private key too; set ${flagOf('tlsKey')}`)
  if (config.tlsKey && !config.tlsCert) problems.push(`${place('tlsKey')}: needs the certificate too; set ${flagOf('tlsCert')}`)
  if (config.tlsClientCa && !config.tlsCert) problems.push(`${place('tlsClientCa')}: needs a server certificate; set ${flagOf('tlsCert')}`)
  if (config.backupTo && String(config.store).startsWith('postgres'))
    problems.push(`${place('backupTo')}: is for the SQLite store; back Postgres up with its own tools, such as pg_basebackup`)
  if (problems.length) throw new ConfigError(problems)
  return config as unknown as ServerConfig
}

function findFile(explicit: string | undefined, directory: string): string | undefined {
  if (explicit !== undefined) {
    const path = resolve(directory, explicit)
    if (!existsSync(path)) throw new ConfigError([`--config: there is no file ${path}`])
    return path
  }
  return fileNames.map((name) => resolve(directory, name)).find((path) => existsSync(path))
}

async function readSettingsFile(path: string): Promise<Record<string, unknown>> {
  let content: unknown
  try {
    content = path.endsWith('.json')
      ? JSON.parse(await readFile(path, 'utf8'))
      : ((await import(pathToFileURL(path).href)) as { default?: unknown }).default
  } catch (error) {
    throw new ConfigError([`${path}: cannot be read: ${(error as Error).message}`])
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    const what = path.endsWith('.json') ? 'must hold a JSON object' : 'must have an object as its default export'
    throw new ConfigError([`${path}: ${what}, such as { "grpc": "0.0.0.0:50051" }`])
  }
  const unknown = Object.keys(content).filter((name) => !(name in settings))
  if (unknown.length) throw new ConfigError(unknown.map((name) => unknownSetting(name, path)))
  return content as Record<string, unknown>
}

function unknownSetting(name: string, place: string): string {
  const meant = nearest(name, names)
  return `${name} (${place}): there is no such setting; ${meant ? `did you mean ${meant}?` : `there are ${names.join(', ')}`}`
}

function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = [...names.map(variableOf), ...foreignVariables]
  return Object.keys(env)
    .filter((name) => name.startsWith('MILLRACE_') && !known.includes(name))
    .map((name) => {
      const meant = nearest(name, known)
      return `The environment variable ${name} is not known and has no effect${meant ? `; did you mean ${meant}?` : '.'}`
    })
}
