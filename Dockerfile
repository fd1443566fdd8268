# The service with the shipped models. It needs no network, no writable disk, no certain user id.
#
#   docker build --tag mc-dropout .                        the service
#   docker build --tag mc-dropout-train --target train .   python -m model, with what training needs
#
# What it installs is locked with hashes. PYTHON_IMAGE may name an image by its digest:
# python:3.11-slim@sha256:...
#
# TORCH_INDEX_URL names the package index of another build of torch than PyPI's. On x86_64 PyPI has
# the build for CUDA, several GB; README has the address of those for CPUs. PyPI knows no hash of
# them; TORCH_SHA256 may name it.

ARG PYTHON_IMAGE=python:3.11-slim

# The dependencies alone: a change of the code leaves this layer, by far the largest, as it is.
# The compiler, and all that only builds, stays behind in these stages.
FROM ${PYTHON_IMAGE} AS dependencies
ARG TORCH_INDEX_URL=""
ARG TORCH_SHA256=""
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
# The base image's pip installs into the environment, which has none of its own.
RUN python -m venv --without-pip /opt/venv
WORKDIR /src
COPY locks/service.txt locks/torch.txt ./
RUN into="pip --python /opt/venv/bin/python install --no-cache-dir" \
    && $into --require-hashes -r service.txt \
    && if [ -z "$TORCH_INDEX_URL" ]; then \
        $into --require-hashes -r torch.txt; \
    else \
        echo "$(grep -o '^torch==[0-9.]*' torch.txt)${TORCH_SHA256:+ --hash=sha256:$TORCH_SHA256}" \
            > other.txt \
        && $into --no-deps --index-url "$TORCH_INDEX_URL" -r other.txt; \
    fi \
    && cd /opt/venv/lib/python*/site-packages \
    # The build needs setuptools; the service does not
    && mkdir /opt/setuptools && mv setuptools* _distutils_hack /opt/setuptools/ \
    && rm distutils-precedence.pth \
    # C++ headers and tests: torch's are an eighth of the image
    && rm -rf torch/include torch/test \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && strip --strip-unneeded uvloop/*.so \
    # What torch imports to compile graphs: unused here, and Python can compile it when it is not
    && find sympy networkx mpmath -type d -name __pycache__ -prune -exec rm -rf {} +


# The project as a wheel, with its kernel, and what the wheel installs.
FROM dependencies AS build
COPY pyproject.toml setup.py LICENSE README.md ./
COPY app app
COPY model model
RUN PYTHONPATH=/opt/setuptools pip --python /opt/venv/bin/python wheel \
        --no-cache-dir --no-deps --no-build-isolation \
        --wheel-dir /wheels . \
    && pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --no-index \
        --root /installed /wheels/*.whl
# The folder of models of the image: links to the shipped ones, in their order. A folder that is
# mounted in its place hides them.
RUN mkdir -p /installed/models \
    && i=0 \
    && for name in $(PYTHONPATH="$(echo /installed/opt/venv/lib/python*/site-packages)" \
            /opt/venv/bin/python -c "import model; print(*(f.name for f in model.shipped()))"); do \
        i=$((i + 1)) \
        && ln -s "$(cd /installed && echo /opt/venv/lib/python*/site-packages)/model/artifact/pretrained/$name" \
            "/installed/models/$i-$name"; \
    done


FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION="0.1.0"
ARG REVISION=""
LABEL org.opencontainers.image.title="mc-dropout-service" \
    org.opencontainers.image.description="Predictions with uncertainty, by Monte-Carlo dropout" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
# SAFEPATH: the working directory is no place to import from. HOME: any user id has a home.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /tmp
STOPSIGNAL SIGTERM


# python -m model, with the training extra: docker run ... train houses.csv --target price --out /out
FROM dependencies AS training-dependencies
COPY locks/train.txt ./
RUN pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r train.txt \
    && cd /opt/venv/lib/python*/site-packages \
    && find . -type d -name tests -prune -exec rm -rf {} +

FROM runtime AS train
COPY --from=training-dependencies /opt/venv /opt/venv
COPY --from=build /installed /
USER 10001:10001
ENTRYPOINT ["python", "-m", "model"]


FROM runtime AS service
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=build /installed /
ENV MCD_HOST=0.0.0.0 \
    MCD_MODELS_DIR=/models
USER 10001:10001
EXPOSE 8000
# -I and -S: without site-packages, and with one module of the standard library, a check takes about
# 11 MB and 50 ms, for the container's limit of memory counts it too.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-I", "-S", "-c", "import os, socket, sys; \
path, port = os.environ.get('MCD_UDS'), int(os.environ.get('MCD_PORT', 8000)); \
server = socket.socket(socket.AF_UNIX if path else socket.AF_INET); \
server.settimeout(4); \
server.connect(path or ('127.0.0.1', port)); \
server.sendall(b'GET /v2/health/ready HTTP/1.0\\r\\n\\r\\n'); \
sys.exit(server.recv(12)[9:] != b'200')"]
# The exec form: SIGTERM reaches Python, and options can follow: docker run IMAGE --workers 2
ENTRYPOINT ["python", "-m", "app"]
