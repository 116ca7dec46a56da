export { TestClock } from './clock.ts'
export { type Fake, type FakeCall, FakeWorker } from './fake-worker.ts'
export { startTestServer, TestServer, type TestServerOptions } from './server.ts'
