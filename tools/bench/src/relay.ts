// The least that a server between a caller and a database can be: bare gRPC, pg, JSON. Run as a program, it is that server.
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { startServiceProcess } from '@millrace/dev'
import pg from 'pg'

const path = '/bench.Relay/Query'
const limits = { 'grpc.max_receive_message_length': -1 }
const asItIs = (bytes: Buffer): Buffer => bytes

/** A relay in a process of its own, and a client of it. */
export interface Relay extends AsyncDisposable {
  readonly pid: number
  /** Carries out a statement; resolves with its rows. */
  query(text: string, values: readonly unknown[]): Promise<unknown>
}

/** Starts one. */
export async function startRelay(options: {
  /** Folder for its folder. */
  readonly parentDir: string
  /** Where statements go; undefined: nowhere, and all are answered with no rows. */
  readonly postgres?: string
  readonly connections?: number
}): Promise<Relay> {
  const service = await startServiceProcess({
    name: 'the relay',
    command: process.execPath,
    args: [fileURLToPath(import.meta.url), options.postgres ?? '', String(options.connections ?? 1)],
    dir: mkdtempSync(join(options.parentDir, 'relay-')),
    ifMissing: 'node was not found',
    isReady: (line) => line.startsWith('port '),
  })
  const client = new Client(`127.0.0.1:${service.readyLine.slice('port '.length)}`, credentials.createInsecure(), limits)
  return {
    pid: service.pid,
    query: (text, values) =>
      new Promise((resolve, reject) => {
        const request = Buffer.from(JSON.stringify([text, values]))
        client.makeUnaryRequest(path, asItIs, asItIs, request, (error, answer) => {
          if (error) reject(error)
          else resolve(JSON.parse(answer!.toString()))
        })
      }),
    async [Symbol.asyncDispose]() {
      client.close()
      await service.stop()
    },
  }
}

function serve(postgres: string, connections: number): void {
  const pool = postgres === '' ? undefined : new pg.Pool({ connectionString: postgres, max: connections, idleTimeoutMillis: 0 })
  const service: ServiceDefinition = {
    query: {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: asItIs,
      requestDeserialize: asItIs,
      responseSerialize: asItIs,
      responseDeserialize: asItIs,
    },
  }
  const query = async ({ request }: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
    const [text, values] = JSON.parse(request.toString()) as [string, unknown[]]
    try {
      answer(null, Buffer.from(JSON.stringify((await pool?.query(text, values))?.rows ?? [])))
    } catch (error) {
      answer(error as Error)
    }
  }
  const server = new Server(limits)
  server.addService(service, { query })
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error
    console.log(`port ${port}`)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve(process.argv[2]!, Number(process.argv[3]))
