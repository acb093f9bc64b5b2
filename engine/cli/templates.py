"""`spec11-engine templates register|list`: sandboxes that were made ready beforehand."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict

from engine.cli import where
from engine.config import Config
from engine.core.templates import NAME, PLAIN, environment
from engine.errors import Misconfigured
from engine.store import pool
from engine.store import templates as store
from engine.store.templates import Template
from engine.usecases import template_registry


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the two."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    register = verbs.add_parser("register", help="register one template of a recipe version")
    register.add_argument("--recipe", required=True, metavar="ID@V", help="the recipe version")
    register.add_argument("--base", default=PLAIN, help=f"base of the sandbox (default {PLAIN})")
    register.add_argument(
        "--dependency",
        action="append",
        default=[],
        metavar="NAME",
        help="a dependency; repeatable",
    )
    register.add_argument("--id", required=True, help="the provider's id of the template")
    listed = verbs.add_parser("list", help="list all templates, by key")
    for verb in (register, listed):
        where.argument(verb)
        verb.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 when the verb is done. Raises Conflict when another template is there already."""
    verb = {"register": _register, "list": _list}[arguments.verb]
    asyncio.run(verb(arguments, where.running(arguments, config)))
    return 0


async def _register(arguments: argparse.Namespace, dsn: str) -> None:
    recipe, _, version = arguments.recipe.rpartition("@")
    wish = {"base": arguments.base, "dependencies": arguments.dependency}
    try:
        wanted = environment({NAME: wish})
    except ValueError as error:
        raise Misconfigured(str(error)) from error
    async with await pool.connect(dsn) as tx, tx.transaction():
        made, is_new = await template_registry.register(tx, (recipe, version), wanted, arguments.id)
    _show(made, as_json=arguments.json, word="registered" if is_new else "known")


async def _list(arguments: argparse.Namespace, dsn: str) -> None:
    async with await pool.connect(dsn) as tx:
        for each in await store.list_templates(tx):
            _show(each, as_json=arguments.json)


def _show(template: Template, *, as_json: bool, word: str = "") -> None:
    if as_json:
        print(json.dumps({**asdict(template), **({"outcome": word} if word else {})}))
        return
    print("\t".join(filter(None, (word, template.template_key, template.template_id))))
