# One image for every service and for the command line: python -P -m services.<name>, or snowmelt <verb>.
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.lock ./
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY . .
RUN echo /app > "$(/venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/snowmelt-checkout.pth" \
 && printf '#!/venv/bin/python -P\nfrom snowmelt.cli.main import main\nmain()\n' > /venv/bin/snowmelt && chmod +x /venv/bin/snowmelt

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 libgomp1 openssl && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /var/lib/snowmelt snowmelt \
 && install --directory --owner snowmelt --group snowmelt --mode 700 /var/lib/snowmelt
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV NUMBA_CACHE_DIR=/var/lib/snowmelt/numba PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 SNOWMELT_STATE_DIR=/var/lib/snowmelt SNOWMELT_CACHE_DIR=/var/lib/snowmelt/cache
WORKDIR /app
USER snowmelt
ENTRYPOINT ["python", "-P", "-m"]
CMD ["services.gateway"]
