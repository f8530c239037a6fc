# One image with all commands and nothing else: no shell, no libc, no root.
# What a service is, docker-compose.yml says.

FROM golang:1.26 AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOFLAGS=-trimpath
COPY go.mod go.sum ./
# What takes long to compile and seldom changes is a layer of its own.
RUN go build modernc.org/sqlite github.com/nats-io/nats-server/v2/server
COPY . .
RUN go build -ldflags='-s -w' -o /out/bin/ ./broker ./producer ./consumer ./contention
# A volume takes its owner from the folder that it covers; where there is none
# it is root's, and SQLite can't open a file in it.
RUN mkdir -p /out/turnstile/var /out/tmp && \
    for role in broker producer consumer monitor admin; do mkdir -p -m 0700 /out/turnstile/credentials/$role; done && \
    cp -r data broker/cluster.conf /out/turnstile/ && chown -R 65532:65532 /out/turnstile && chmod 1777 /out/tmp

FROM scratch
COPY --from=build /out /
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER 65532:65532
ENV PATH=/bin
WORKDIR /turnstile
