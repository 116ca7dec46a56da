/** What the pages show of something: a JSON text that tests read. */
export function shown(what: object): string {
  return JSON.stringify(what, (_key, value: unknown) =>
    value instanceof Error ? { name: value.name, message: value.message } : typeof value === 'function' ? undefined : value,
  )
}

/** What a test tells the page to show. */
export interface Scene {
  /** What to mount; nothing by default. */
  readonly name?: 'task' | 'list' | 'key' | 'stream' | 'pipeline' | 'rows' | 'many' | 'suspended'
  /** The queue of all that is submitted and shown. */
  readonly queue: string
  /** The task that `many` shows. */
  readonly taskId?: string
  /** Vue: what is mounted stays alive when another scene takes its place. */
  readonly keep?: boolean
  /** The pipeline that `pipeline` shows. */
  readonly pipelineId?: string
  /** How many components `many` has. */
  readonly count?: number
}

declare global {
  interface Window {
    /** Set by the page: mounts a scene in place of the last. */
    show(scene: Scene): void
    /** Set by a fallback that was mounted; it may have been there for a moment only. */
    fallbackShown?: boolean
  }
}

/** Notes that a fallback is mounted. */
export function noteFallback(): void {
  window.fallbackShown = true
}

/** Where the server is and what gets a token, as the address of the page says. */
export function connection(): { endpoint: string; namespace: string; token: () => Promise<string> } {
  const query = new URLSearchParams(location.search)
  return {
    endpoint: query.get('endpoint')!,
    namespace: query.get('namespace')!,
    token: async () => (await fetch('/token', { method: 'POST' })).text(),
  }
}
