# One image with all commands and nothing else: no shell, no libc, no root.
# docker-compose.yml defines the services.

FROM golang:1.26 AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-trimpath
COPY go.mod go.sum ./
# The dependencies compile slowly and change seldom: a layer of their own.
RUN go build modernc.org/sqlite github.com/nats-io/nats-server/v2/server
COPY . .
RUN go build -ldflags='-s -w' -o /out/bin/ ./broker ./producer ./consumer ./contention
# A volume gets the owner of the folder that it covers. Without a folder it
# belongs to root, and SQLite cannot open a file in it.
RUN mkdir -p /out/turnstile/var /out/tmp && \
    for role in broker producer consumer page monitor admin; do mkdir -p -m 0700 /out/turnstile/credentials/$role; done && \
    cp -r data broker/cluster.conf /out/turnstile/ && chown -R 65532:65532 /out/turnstile && chmod 1777 /out/tmp

FROM scratch
COPY --from=build /out /
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER 65532:65532
# Hints name the commands as people outside the container can type them.
ENV PATH=/bin TURNSTILE_RUN="docker-compose run --rm"
WORKDIR /turnstile
