from django.urls import URLPattern, URLResolver, path

from citysearch.demo import views

urlpatterns: list[URLPattern | URLResolver] = [path("samples/<str:name>", views.sample, name="demo-sample")]
