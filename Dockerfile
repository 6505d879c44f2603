# One image, four roles: web, default worker, engine worker, prepare (see docker-compose.yml).
FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 VAR_DIR=/var/lib/citysearch
WORKDIR /srv/citysearch
# Chinese names on watermarked pictures.
RUN apt-get update && apt-get install -y --no-install-recommends fonts-wqy-microhei && rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
# Hashed names for static files; they lie in the image, outside the volume that holds the state.
RUN SECRET_KEY=only-while-static-files-are-collected VAR_DIR=/srv/build COLLECT_STATIC=true python manage.py collectstatic --noinput \
    && useradd --system --home /var/lib/citysearch citysearch \
    && install -d -o citysearch -g citysearch /var/lib/citysearch
ENV STATIC_ROOT=/srv/build/static
USER citysearch
VOLUME /var/lib/citysearch
EXPOSE 8000
CMD ["gunicorn", "citysearch.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "4"]
