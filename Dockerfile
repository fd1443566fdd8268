# The service with the shipped models. It needs no network, no writable disk, no certain user id.
#
# What it installs is locked with hashes. PYTHON_IMAGE may name an image by its digest:
# python:3.11-slim@sha256:...
#
# TORCH_INDEX_URL names the package index of another build of torch than PyPI's. On x86_64 PyPI has
# the build for CUDA, several GB; README has the address of those for CPUs. PyPI knows no hash of
# them; TORCH_SHA256 may name it.

ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX_URL=""
ARG TORCH_SHA256=""
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src

# The dependencies alone: a change of the code leaves this layer, by far the largest, as it is.
COPY locks/service.txt locks/torch.txt ./
RUN pip install --no-cache-dir --require-hashes -r service.txt \
    && if [ -z "$TORCH_INDEX_URL" ]; then \
        pip install --no-cache-dir --require-hashes -r torch.txt; \
    else \
        echo "$(grep -o '^torch==[0-9.]*' torch.txt)${TORCH_SHA256:+ --hash=sha256:$TORCH_SHA256}" \
            > other.txt \
        && pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX_URL" -r other.txt; \
    fi \
    # C++ headers and test programs, an eighth of the image
    && rm -rf /opt/venv/lib/python*/site-packages/torch/include \
        /opt/venv/lib/python*/site-packages/torch/test

COPY pyproject.toml setup.py LICENSE README.md ./
COPY app app
COPY model model
RUN pip install --no-cache-dir --no-deps --no-build-isolation .


FROM ${PYTHON_IMAGE}
COPY --from=build /opt/venv /opt/venv
# SAFEPATH: the working directory is no place to import from. HOME: any user id has a home.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MCD_HOST=0.0.0.0
WORKDIR /tmp
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
# The exec form: SIGTERM reaches Python, and options can follow: docker run IMAGE --model /models/mine
ENTRYPOINT ["python", "-m", "app"]
