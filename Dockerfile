# One file, two images:
#   docker build --target serving  -t tpv .             the service; nothing of training is in it (default)
#   docker build --target training -t tpv-training .    the `tpv` command line
#
# A private package index or certificate authority is handed to pip as a build secret, which enters no layer:
#   docker build --secret id=pipconf,src=/etc/pip.conf --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt .
#
# A release pins the base by digest:  --build-arg BASE_IMAGE=python:3.11-slim-bookworm@sha256:…
ARG BASE_IMAGE=python:3.11-slim-bookworm

# ---- packages ------------------------------------------------------------------------------------------------
# The environment holds no pip: the base's own installs into it from outside.
FROM ${BASE_IMAGE} AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/tpv \
 && echo /srv/tpv > "$(/opt/tpv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tpv.pth"

# Test suites of packages are a fifth of the weight and never run. Bytecode is compiled with unchecked hashes,
# so that it depends on no file time and the root file system can stay read-only.
FROM environment AS serving-packages
COPY requirements/serving.txt /tmp/requirements.txt
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    pip --python /opt/tpv/bin/python install --no-compile --no-deps --only-binary :all: --require-hashes --quiet -r /tmp/requirements.txt \
 && find /opt/tpv/lib -type d -name tests -prune -exec rm -rf {} + \
 && python -m compileall -q -j 2 --invalidation-mode unchecked-hash /opt/tpv/lib
COPY app /srv/tpv/app
RUN python -m compileall -q --invalidation-mode unchecked-hash /srv/tpv

FROM environment AS training-packages
COPY requirements/training.txt /tmp/requirements.txt
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    pip --python /opt/tpv/bin/python install --no-compile --no-deps --only-binary :all: --require-hashes --quiet -r /tmp/requirements.txt \
 && find /opt/tpv/lib -type d -name tests -prune -exec rm -rf {} + \
 && python -m compileall -q -j 2 --invalidation-mode unchecked-hash /opt/tpv/lib
COPY app /srv/tpv/app
COPY training /srv/tpv/training
COPY scripts/scheduled_training.py /srv/tpv/scheduled_training.py
RUN python -m compileall -q --invalidation-mode unchecked-hash /srv/tpv \
 && printf '#!/opt/tpv/bin/python\nimport sys\nfrom training.cli import main\nsys.exit(main())\n' > /opt/tpv/bin/tpv \
 && chmod 0755 /opt/tpv/bin/tpv

# ---- what both images share ----------------------------------------------------------------------------------
# The user is a number: Kubernetes can prove that it is not root, and no account database is needed.
# /models belongs to it, so that a new named volume mounted there does too.
FROM ${BASE_IMAGE} AS runtime
ARG VERSION=0.0.0+local
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="TPV"
ENV PATH=/opt/tpv/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    HOME=/tmp
RUN install -d -o 10001 -g 10001 -m 0755 /models
STOPSIGNAL SIGTERM

FROM runtime AS training
LABEL org.opencontainers.image.title="tpv-training" \
      org.opencontainers.image.description="Tunes, trains, evaluates and promotes the merchant payment volume model."
COPY --from=training-packages /opt/tpv /opt/tpv
COPY --from=training-packages /srv/tpv /srv/tpv
ENV MPLCONFIGDIR=/tmp/matplotlib MPLBACKEND=Agg
# Without a checkout, manifests take the commit from here.
ARG REVISION=unknown
ENV SOURCE_REVISION=${REVISION}
# The default models directory and study storage are relative: from / they are in the volume at /models.
WORKDIR /
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["tpv"]
CMD ["--help"]

# ---- the service: last, so that it is the default target -----------------------------------------------------
FROM runtime AS serving
LABEL org.opencontainers.image.title="tpv" \
      org.opencontainers.image.description="Predicts the monthly payment volume bucket of a merchant over HTTP."
COPY --from=serving-packages /opt/tpv /opt/tpv
COPY scripts/healthcheck.py /srv/tpv/healthcheck.py
COPY --from=serving-packages /srv/tpv /srv/tpv
ENV TPV_HOST=0.0.0.0 TPV_PORT=8000 TPV_MODELS_DIR=/models
WORKDIR /srv/tpv
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python", "-I", "/srv/tpv/healthcheck.py"]
CMD ["python", "-m", "app"]
