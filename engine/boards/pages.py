"""The pages, and what their forms do: each form asks one operation of the API."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.boards import forms, rendering, views
from engine.boards.feeds import COOKIE, Answer, ask
from engine.boards.views import BOARDS, TABS, Place
from engine.errors import Missing

# What a page may say of an action that was done, by its word in the address.
NOTES: Final = {
    "started": "The run was started.",
    "replayed": "This is a replay: the same start was made before, and nothing new was started.",
    "answered": "The answer was accepted.",
    "repeated": "This is a replay: the same answer was accepted before.",
    "done": "The operation was accepted.",
    "imported": "The recipes were imported as drafts.",
    "promoted": "The version was promoted by one step.",
}


async def show(request: Request) -> Response:
    """``GET /``: the board that the address names."""
    return await _render(request, Place.of(request.query_params))


async def show_operations(request: Request) -> Response:
    """``GET /docs``: every operation of the API, from its own document."""
    answer = await ask(request, ("GET", "/openapi.json"))
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return rendering.render("login.html", answer.status, {"next": "/"})
    health = await ask(request, ("GET", "/healthz"))
    operations = [
        {"method": method.upper(), "path": path, **facts}
        for path, methods in (answer.data or {}).get("paths", {}).items()
        for method, facts in methods.items()
    ]
    facts = {"health": health, "operations": operations, "place": Place("", "", {})}
    none: dict[str, Any] = {"refused": None, "note": "", "boards": BOARDS}
    return rendering.render("docs.html", answer.status, {**facts, **none})


async def act(request: Request) -> Response:
    """``POST /boards/ACTION``: what a form of a page asks for."""
    action = _ACTIONS.get(request.path_params["action"])
    if action is None:
        raise Missing("not found")
    return await action(request, await forms.read_form(request))


async def _render(
    request: Request,
    place: Place,
    refused: Answer | None = None,
    form: Mapping[str, str] | None = None,
) -> Response:
    """The page of a place. ``refused`` is the answer to the form that was sent from there."""
    facts = await views.build(request, place)
    feed: Answer = facts["feed"]
    status = (refused or feed).status
    if status == HTTPStatus.UNAUTHORIZED:
        return rendering.render("login.html", status, {"next": _locate(place.query)})
    common = {
        "boards": BOARDS,
        "tabs": TABS,
        "place": place,
        "refused": refused,
        "form": form or {},
        "note": NOTES.get(place.query.get("note", ""), ""),
        "here": _locate(place.query),
        "ended": views.ENDED,
        "budget_names": forms.BUDGET,
    }
    return rendering.render(f"{place.board}.html", status, {**common, **facts})


def _locate(query: Mapping[str, str], **more: str) -> str:
    """The address of a place."""
    named = {name: text for name, text in {**query, **more}.items() if text}
    return f"/?{urlencode(named)}" if named else "/"


def _go(query: Mapping[str, str], **more: str) -> Response:
    return RedirectResponse(_locate(query, **more), HTTPStatus.SEE_OTHER)


def _encode(body: Any) -> bytes:
    return json.dumps(body).encode()


async def _start(request: Request, form: Mapping[str, str]) -> Response:
    place = Place.of({"board": "run", "recipe": form.get("recipe", ""), "v": form.get("v", "")})
    made = await views.load_start_form(request, place)
    body = forms.make_start(form, made["schema"] if made else {})
    answer = await ask(request, ("POST", "/api/run"), body=_encode(body))
    if not answer.is_ok:
        return await _render(request, place, answer, form)
    note = "replayed" if answer.status == HTTPStatus.OK else "started"
    return _go({"wid": answer.data["workflowID"], "board": "run", "tab": "timeline", "note": note})


async def _reply(request: Request, form: Mapping[str, str]) -> Response:
    wid, gate = form.get("wid", ""), form.get("gate", "")
    here = {"wid": wid, "board": "run", "tab": "gate", "gate": gate}
    operation = ("POST", f"{views.GATES}/{{gateKey}}/reply")
    body = _encode(forms.make_reply(form))
    answer = await ask(request, operation, body=body, wid=wid, gateKey=gate)
    if not answer.is_ok:
        return await _render(request, Place.of(here), answer, form)
    return _go(here, note="repeated" if answer.data["isReplay"] else "answered")


async def _operate(request: Request, form: Mapping[str, str]) -> Response:
    name, id_ = form.get("operation", ""), form.get("id", "")
    here = {"board": form.get("board", "ops"), "tab": "ops", "wid": form.get("wid", id_)}
    if name not in views.LEGAL:
        raise Missing("not found")
    operation = ("POST", f"{views.WORKFLOW}/{name}")
    answer = await ask(request, operation, body=_encode(forms.make_action(form)), id=id_)
    if not answer.is_ok:
        return await _render(request, Place.of(here), answer, form)
    return _go({**here, "wid": answer.data.get("forkedWorkflowID") or here["wid"]}, note="done")


async def _repair(request: Request, form: Mapping[str, str]) -> Response:
    here = {"wid": form.get("wid", ""), "board": "run", "tab": "ops"}
    answer = await ask(request, ("POST", f"{views.RUN}/retry"), wid=here["wid"])
    if not answer.is_ok:
        return await _render(request, Place.of(here), answer, form)
    return _go(here, note="done")


async def _import(request: Request, form: Mapping[str, str]) -> Response:
    body = form.get("bundle", "").encode()
    answer = await ask(request, ("POST", "/api/recipes/import"), body=body)
    if not answer.is_ok:
        return await _render(request, Place.of({"board": "recipe"}), answer, form)
    return _go({"board": "recipe", "recipe": answer.data["id"]}, note="imported")


async def _export(request: Request, form: Mapping[str, str]) -> Response:
    id_ = form.get("recipe", "")
    answer = await ask(request, ("POST", "/api/recipes/export"), body=_encode({"id": id_}))
    if not answer.is_ok:
        return await _render(request, Place.of({"board": "recipe"}), answer, form)
    headers = {**rendering.HEADERS, "content-disposition": 'attachment; filename="recipe.json"'}
    return Response(_encode(answer.data), headers=headers, media_type="application/json")


async def _promote(request: Request, form: Mapping[str, str]) -> Response:
    id_, v = form.get("recipe", ""), form.get("v", "")
    operation = ("POST", "/api/recipes/{id}/versions/{v}/promote")
    answer = await ask(request, operation, id=id_, v=v)
    here = {"board": "recipe", "recipe": id_}
    if not answer.is_ok:
        return await _render(request, Place.of(here), answer, form)
    return _go(here, note="promoted")


async def _login(request: Request, form: Mapping[str, str]) -> Response:
    """Keep the token in a cookie that no script and no other site can use."""
    del request
    target = form.get("next", "/")
    response = RedirectResponse(target if target.startswith("/?") else "/", HTTPStatus.SEE_OTHER)
    response.set_cookie(COOKIE, form.get("token", ""), httponly=True, samesite="strict", path="/")
    return response


async def _logout(request: Request, form: Mapping[str, str]) -> Response:
    del request, form
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", path="/")
    return response


_ACTIONS: Final[Mapping[str, Callable[[Request, Mapping[str, str]], Awaitable[Response]]]] = {
    "start": _start,
    "reply": _reply,
    "operate": _operate,
    "repair": _repair,
    "import": _import,
    "export": _export,
    "promote": _promote,
    "login": _login,
    "logout": _logout,
}
