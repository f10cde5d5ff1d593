# Base images by tag: pin a digest you pulled yourself with --build-arg RUN_BASE=…@sha256:…
ARG BUILD_BASE=python:3.11-slim-bookworm
ARG RUN_BASE=python:3.11-slim-bookworm

FROM ${BUILD_BASE} AS build
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
# --without-pip and --no-compile keep the result free of times and tools: two builds give one digest.
RUN python3 -m venv /build \
 && python3 -m venv --without-pip /opt/keeper/venv \
 && /build/bin/python -m pip --python /opt/keeper/venv/bin/python install --no-compile --no-cache-dir \
    --require-hashes --only-binary :all: --requirement requirements.lock \
 && /build/bin/python -m pip install --no-cache-dir --require-hashes --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY keeper keeper
RUN /build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
 && /build/bin/python -m pip --python /opt/keeper/venv/bin/python install --no-compile --no-cache-dir --no-deps /dist/*.whl \
 && install --directory --owner 65532 --group 65532 --mode 0700 /var/lib/keeper

FROM ${RUN_BASE}
ARG COMMIT=""
COPY --from=build /opt/keeper /opt/keeper
COPY --from=build --chown=65532:65532 /var/lib/keeper /var/lib/keeper
ENV PATH=/opt/keeper/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/keeper \
    KEEPER_CONFIG=/etc/keeper/keeper.yaml \
    KEEPER_COMMIT=${COMMIT}
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["/opt/keeper/venv/bin/python", "-I", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9464, timeout=2); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["/opt/keeper/venv/bin/keeper"]
CMD ["run"]
