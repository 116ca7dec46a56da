# A server and the millrace command. Tools of the build stay in the first stage.
FROM node:24-bookworm-slim AS build
WORKDIR /src
ENV CI=true
RUN npm install --global pnpm@12.21.0
COPY . .
RUN pnpm install --frozen-lockfile --filter millrace --filter '@millrace/server...'
RUN pnpm exec turbo run build --filter @millrace/server
RUN pnpm deploy --filter @millrace/server --prod /app

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="Millrace" \
      org.opencontainers.image.description="Durable work and data behind one endpoint" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production \
    MILLRACE_GRPC=0.0.0.0:50051 \
    MILLRACE_HTTP=0.0.0.0:50080 \
    MILLRACE_DATA=/data
COPY --from=build /app /app
RUN ln -s /app/dist/cli.js /usr/local/bin/millrace \
    && mkdir /data \
    && chown node:node /data
USER node
VOLUME /data
EXPOSE 50051 50080
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 CMD ["millrace", "health"]
# Signals reach the server itself, which drains: give it --stop-timeout longer than its --shutdown-grace.
ENTRYPOINT ["millrace"]
CMD ["serve"]
