# Delta Executor: one image for every process; the command says which.
# Alone it runs API and one worker, and embeds whatever the settings do not name:
#   docker run -p 8003:8003 --env-file .env IMAGE
FROM python:3.12.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN groupadd --system --gid 10001 delta \
 && useradd --system --uid 10001 --gid delta --no-create-home delta \
 && install --directory --owner=delta --group=delta --mode=0750 /var/lib/delta

WORKDIR /app
COPY requirements.lock ./
RUN python -m pip install --require-hashes --only-binary :all: --requirement requirements.lock

COPY pyproject.toml LICENSE ./
COPY workflows ./workflows
COPY activities ./activities
COPY workers ./workers
COPY starters ./starters

USER delta
# Whoever publishes the port says who reaches it: only this machine (-p 127.0.0.1:8003:8003), or a
# proxy with TLS, whose address then stands in API_TRUSTED_PROXIES. Until then only a proxy inside
# the container would be believed. Or give it API_TLS_CERT_PATH and API_TLS_KEY_PATH.
ENV DELTA_HOME=/var/lib/delta \
    ALLOW_REMOTE=true \
    API_HOST=0.0.0.0 \
    API_TRUSTED_PROXIES=127.0.0.1 \
    WORKER_COUNT=1 \
    LOG_FORMAT=json
VOLUME /var/lib/delta
EXPOSE 8003
STOPSIGNAL SIGTERM
CMD ["python", "-m", "workers", "up"]
