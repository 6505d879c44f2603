"""Pages: who may see them, and which template shows what pages.py gathered."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from citysearch.cases.access import is_auditor
from citysearch.cases.api import case_file_name, package_sent
from citysearch.cases.models import LogEntry
from citysearch.cases.queries import log_lines
from citysearch.cases.services import case_export as evidence_of_case
from citysearch.errors import Conflict, ServiceError
from citysearch.searches.models import Search
from citysearch.searches.services import search_rerun
from frontend import pages
from units.access import get_unit_or_404

SEARCHES_PER_PAGE = 25
LINES_PER_PAGE = 50


View = Callable[..., HttpResponse]


def fragment(view: View) -> View:
    """A piece of a page. Once the session has ended the page itself goes to the login, not its piece."""
    guarded = login_required(require_safe(view))

    @wraps(view)
    def piece(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated or "HX-Request" not in request.headers:
            return guarded(request, *args, **kwargs)
        page = urlsplit(request.headers.get("HX-Current-URL", "")).path or "/"
        return HttpResponse(status=204, headers={"HX-Redirect": f"{reverse('login')}?{urlencode({'next': page})}"})

    return piece


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """The mark: pages of the admin and of the API name no icon, browsers then ask for this one."""
    return redirect(static("frontend/img/mark.svg"))


class Login(LoginView):
    template_name = "frontend/login.html"
    redirect_authenticated_user = True


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """A new search, with the unit of `?unit=` already chosen."""
    context = pages.search_page(request.user, None, request.GET.get("unit", ""))
    return render(request, "frontend/search.html", context | {"page": "home"})


@login_required
@require_safe
def search(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A search as it stands: the same page as a new one, filled."""
    found = pages.search_or_404(request.user, pk)
    return render(request, "frontend/search.html", pages.search_page(request.user, found))


@fragment
def search_status(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The piece the page asks for every second; nothing (204) when a finished search has not changed."""
    found = pages.search_or_404(request.user, pk)
    if found.state not in pages.LIVE and pages.revision_of(found) == request.GET.get("revision"):
        return HttpResponse(status=204)
    return render(request, "frontend/parts/status.html", {"run": pages.run_of(found, request.user)})


@login_required
@require_safe
def evidence(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The evidence of a search on a page that can be printed."""
    found = pages.search_or_404(request.user, pk)
    try:
        context = pages.evidence_page(request.user, found)
    except Conflict:
        return redirect("search", pk=pk)
    response = render(request, "cases/report.html", context)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_safe
def searches(request: HttpRequest) -> HttpResponse:
    """My searches, or all I may see; by case, state and words, a page at a time."""
    return _searches(request)


def _searches(request: HttpRequest, refused: str = "", status: int = 200) -> HttpResponse:
    names = ("q", "case", "state", "whose")
    wanted = {name: request.GET.get(name, "").strip() for name in names}
    found = pages.searches_by(request.user, wanted["q"], wanted["case"], wanted["state"], wanted["whose"])
    page = Paginator(found.prefetch_related("photos"), SEARCHES_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": "searches",
        "page_obj": page,
        "searches": pages.search_lines(page.object_list),
        "cases": pages.cases_of(request.user, wanted["whose"]),
        "states": Search.State.choices,
        "narrowed": any(wanted.values()),
        "query": urlencode({name: value for name, value in wanted.items() if value}),
        "refused": refused,
        **wanted,
    }
    return render(request, "frontend/searches.html", context, status=status)


@login_required
@require_POST
def search_again(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The same search once more, over today's gallery and model."""
    try:
        return redirect("search", pk=search_rerun(pages.search_or_404(request.user, pk), request.user).pk)
    except ServiceError as error:
        return _searches(request, error.message, error.status)


@login_required
@require_POST
def case_export(request: HttpRequest) -> HttpResponseBase:
    """The evidence of a whole case; without any, the list says so."""
    case = request.POST.get("case", "").strip()
    try:
        return package_sent(evidence_of_case(case, request.user), case_file_name(case))
    except ServiceError as error:
        return _searches(request, error.message, error.status)


@login_required
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Two searches side by side: `?with=...&with=...`."""
    try:
        first, second = [pages.search_or_404(request.user, UUID(key)) for key in request.GET.getlist("with")]
    except ValueError:
        return _searches(request, _("Choose two searches to compare."), 400)
    return render(request, "frontend/compare.html", {"page": "searches"} | pages.comparison(first, second))


@login_required
@require_safe
def log(request: HttpRequest) -> HttpResponse:
    """The log, for those who audit; nobody else knows of the page."""
    if not is_auditor(request.user):
        raise Http404
    wanted = {name: request.GET.get(name, "").strip() for name in ("q", "action")}
    page = Paginator(log_lines(request.user, wanted["q"], wanted["action"]), LINES_PER_PAGE)
    context = {"page": "log", "page_obj": page.get_page(request.GET.get("page")), "actions": LogEntry.Action.choices}
    query = urlencode({name: value for name, value in wanted.items() if value})
    return render(request, "frontend/log.html", context | wanted | {"query": query})


@login_required
@require_safe
def unit(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_unit_or_404(request.user, pk)
    return render(request, "frontend/unit.html", pages.unit_page(request.user, found))


@fragment
def unit_panel(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_unit_or_404(request.user, pk)
    return render(request, "frontend/parts/unit_panel.html", pages.unit_data(found))


@fragment
def unit_tree(request: HttpRequest) -> HttpResponse:
    """A branch (`?parent=`), what is called like `?q=`, or the top of the tree."""
    nodes = pages.tree_nodes(request.user, request.GET.get("parent", ""), request.GET.get("q", "").strip())
    return render(request, "frontend/parts/tree.html", {"nodes": nodes})
