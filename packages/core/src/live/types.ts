import type { MillraceError } from '../errors/errors.ts'

/**
 * How an observed thing stands. `idle`: nobody looks. `loading`: the first value is on its way. `live`: the value is the
 * present one. `reconnecting`: the connection broke and is being opened again; the value is the last one known. `error`: it
 * was given up, for a reason that does not mend by itself. `ended`: the value is the last one there will be.
 */
export type LiveState = 'idle' | 'loading' | 'live' | 'reconnecting' | 'error' | 'ended'

/** What is known of an observed thing at one moment. The same object until something changes. */
export interface LiveSnapshot<T> {
  /** How it stands. */
  readonly state: LiveState
  /** The last value; undefined before the first. */
  readonly data: T | undefined
  /** Why it is `reconnecting` or in `error`. */
  readonly error: MillraceError | undefined
}

/**
 * Something on the server that can be looked at while it changes. All observers of one thing in one client share one
 * subscription: it is opened for the first listener, and closed a short time after the last one left.
 */
export interface Observer<T> {
  /** Calls `listener` after each change, until what is returned is called. Begins to look when it is the first. */
  subscribe(listener: () => void): () => void
  /** What is known now. Makes no connection. */
  getSnapshot(): LiveSnapshot<T>
  /** Begins to look; resolves when there is a value or an error, and keeps both for a short time. Never rejects. Undefined when there is one already. */
  first(): Promise<void> | undefined
  /** Looks again after `error` or `ended`. */
  retry(): void
}

/** What a source tells. Nothing after `fail` and `end`. */
export interface Sink<T> {
  /** The present value. */
  value(data: T): void
  /** The connection broke and is being opened again. */
  interrupted(error: MillraceError): void
  /** It stands again, and nothing has changed meanwhile. */
  resumed(): void
  /** It is given up. */
  fail(error: MillraceError): void
  /** The last value there will be. */
  end(data: T): void
}

/** Begins to look at something; returns what ends it. May call the sink before it returns. */
export type Source<T> = (sink: Sink<T>) => () => void
