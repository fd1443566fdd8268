# The service with the shipped models. It needs no network, no writable disk, no certain user id.
#
# TORCH_INDEX_URL names one more package index to look for torch in. On x86_64 the default index has
# the build for CUDA, several GB; README has the address of the one for CPUs.

FROM python:3.11-slim AS build
ARG TORCH_INDEX_URL=""
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src

# The dependencies alone: a change of the code leaves this layer, by far the largest, as it is.
COPY pyproject.toml ./
RUN python -c 'import tomllib; \
project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*project["dependencies"], sep="\n")' > requirements.txt \
    && pip install --no-cache-dir -r requirements.txt \
        ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
    # C++ headers and test programs, an eighth of the image
    && rm -rf /opt/venv/lib/python*/site-packages/torch/include \
        /opt/venv/lib/python*/site-packages/torch/test

COPY LICENSE README.md ./
COPY app app
COPY model model
RUN pip install --no-cache-dir --no-deps .


FROM python:3.11-slim
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
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, socket, sys; \
port, path = int(os.environ.get('MCD_PORT', 8000)), os.environ.get('MCD_UDS'); \
server = http.client.HTTPConnection('127.0.0.1', port, timeout=4); \
server.sock = socket.socket(socket.AF_UNIX) if path else None; \
path and (server.sock.settimeout(4), server.sock.connect(path)); \
server.request('GET', '/v2/health/ready'); \
sys.exit(server.getresponse().status != 200)"]
# The exec form: SIGTERM reaches Python, and options can follow: docker run IMAGE --model /models/mine
ENTRYPOINT ["python", "-m", "app"]
