export { freePort } from './free-port.ts'
export { type Redis, type RedisOptions, redisVersion, startRedis } from './redis.ts'
export { type ServiceProcess, type ServiceProcessOptions, startServiceProcess } from './service-process.ts'
