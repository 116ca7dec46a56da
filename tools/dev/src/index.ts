export { freePort } from './free-port.ts'
export { type Postgres, type PostgresOptions, postgresVersion, startPostgres } from './postgres.ts'
export { type Redis, type RedisOptions, redisVersion, startRedis } from './redis.ts'
export { type ServiceProcess, type ServiceProcessOptions, startServiceProcess } from './service-process.ts'
