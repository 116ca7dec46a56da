import { defineConfig } from 'tsdown'

export default defineConfig({
  entry: ['src/index.ts', 'src/grpc.ts', 'src/http.ts', 'src/errors.ts'],
  dts: true,
  target: 'node20',
  platform: 'neutral',
  fixedExtension: false,
})
