from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    """`?page=` and `?page_size=` up to 2,000."""

    page_size_query_param = "page_size"
    max_page_size = 2000
