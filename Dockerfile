# Two stages: dependencies and the compiled program, then a small image without a shell or a package manager.
# Git is spoken by a library, so no git binary is needed.
FROM docker.io/library/node:24-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY reconciler ./reconciler
COPY schemas ./schemas
COPY docs/reasons ./docs/reasons
COPY test/support/build.ts ./test/support/build.ts
RUN npm run build && npm prune --omit=dev

FROM gcr.io/distroless/nodejs24-debian12:nonroot
LABEL org.opencontainers.image.title="oakum" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="Keeps the operating systems of Kubernetes nodes patched, with Git as its only user interface"
WORKDIR /app
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules ./node_modules
COPY --from=build /src/dist ./dist
COPY --from=build /src/schemas ./schemas
COPY --from=build /src/docs ./docs
USER 65532:65532
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/main.js"]
CMD ["run"]
